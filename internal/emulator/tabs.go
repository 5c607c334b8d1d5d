package emulator

import "strconv"

// tabStops says of each column whether a tab stops there.
type tabStops []bool

func newTabStops(cols int) tabStops { return tabStops(nil).resize(cols) }

// resize returns the stops of as many columns: what is new has the usual ones.
func (t tabStops) resize(cols int) tabStops {
	next := make(tabStops, cols)
	for x := copy(next, t); x < cols; x++ {
		next[x] = usualStop(x)
	}
	return next
}

func usualStop(x int) bool { return x%8 == 0 && x > 0 }

// from returns the column of the n-th stop to the right of x, or to the left if n is less
// than 0; that of the first or last column if there are not as many.
func (t tabStops) from(x, n int) int {
	step := 1
	if n < 0 {
		n, step = -n, -1
	}
	for n > 0 && x+step >= 0 && x+step < len(t) {
		if x += step; t[x] {
			n--
		}
	}
	return x
}

// appendSet appends bytes that give a terminal that was reset these stops.
func (t tabStops) appendSet(b []byte) []byte {
	usual := true
	for x, stop := range t {
		usual = usual && stop == usualStop(x)
	}
	if usual {
		return b
	}
	b = append(b, "\x1b[3g"...)
	for x, stop := range t {
		if stop {
			b = append(b, "\x1b["...)
			b = append(strconv.AppendInt(b, int64(x+1), 10), "G\x1bH"...)
		}
	}
	return b
}
