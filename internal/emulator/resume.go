package emulator

import "strconv"

// AppendMargins appends bytes that give a terminal on which AppendScreen was written
// the margins and the tab stops of this one. They move its cursor.
func (t *Terminal) AppendMargins(b []byte) []byte {
	if t.top != 0 || t.bottom != t.rows {
		b = t.appendRegion(b)
	}
	return t.appendTabs(b)
}

// appendRegion appends DECSTBM.
func (t *Terminal) appendRegion(b []byte) []byte {
	b = append(b, "\x1b["...)
	b = append(strconv.AppendInt(b, int64(t.top+1), 10), ';')
	return append(strconv.AppendInt(b, int64(t.bottom), 10), 'r')
}

func (t *Terminal) appendTabs(b []byte) []byte {
	usual := true
	for x, stop := range t.tabs {
		usual = usual && stop == (x%8 == 0 && x > 0)
	}
	if usual {
		return b
	}
	b = append(b, "\x1b[3g"...)
	for x, stop := range t.tabs {
		if stop {
			b = append(b, "\x1b["...)
			b = append(strconv.AppendInt(b, int64(x+1), 10), "G\x1bH"...)
		}
	}
	return b
}

// AppendCursor appends bytes with which the program can continue from there: the cursor
// and the one that is saved, each with its pen and character sets, origin and insert
// mode. The terminal has the margins of this one; otherwise wrapping, and a plain pen.
func (t *Terminal) AppendCursor(b []byte) []byte {
	w := painter{t: t, out: b}
	if t.top != 0 || t.bottom != t.rows {
		w.out = append(w.out, "\x1b[?6l"...)
	}
	origin := false
	change := func(to bool) {
		if to != origin {
			w.out = append(w.out, map[bool]string{true: "\x1b[?6h", false: "\x1b[?6l"}[to]...)
			origin = to
		}
	}
	s := t.saved[t.which()]
	beyond := s.set && s.origin && t.side(s.y) != 0
	if s.set {
		if beyond {
			w.out = append(w.out, "\x1b[r"...) // with margins, no address leads there in origin mode
		}
		change(s.origin)
		w.cursor(s.cursor, s.origin && !beyond)
		w.change(s.pen.style())
		w.charsets(s.charsets)
		w.out = append(w.out, "\x1b7"...)
		if beyond {
			w.out = t.appendRegion(w.out)
		}
	}
	back := beyond && t.modes.origin && t.side(t.cursor.y) == t.side(s.y)
	if back {
		w.out = append(w.out, "\x1b8"...)
	}
	if s.set && s.charsets != (charsets{}) {
		w.out = append(w.out, "\x1b(B\x1b)B\x0f"...)
	}
	if back {
		w.lead(s.y, t.cursor)
	} else {
		change(t.modes.origin)
		w.change(Style{})
		w.cursor(t.cursor, t.modes.origin)
	}
	w.change(t.pen.style())
	w.charsets(t.cursor.charsets)
	if t.modes.insert {
		w.out = append(w.out, "\x1b[4h"...)
	}
	if t.modes.newline {
		w.out = append(w.out, "\x1b[20h"...)
	}
	return w.out
}

// side returns on which side of the margins a row is: -1 above, 1 below, 0 between them.
func (t *Terminal) side(y int) int {
	switch {
	case y < t.top:
		return -1
	case y >= t.bottom:
		return 1
	}
	return 0
}

// lead leads the cursor from one row to its place, both on the same side of the margins.
func (w *painter) lead(from int, c cursor) {
	if n := c.y - from; n != 0 {
		w.out = append(strconv.AppendInt(append(w.out, "\x1b["...), int64(max(n, -n)), 10), map[bool]byte{true: 'B', false: 'A'}[n > 0])
	}
	w.put(c, func(x int) { w.out = append(strconv.AppendInt(append(w.out, "\x1b["...), int64(x+w.dx+1), 10), 'G') })
}

// cursor puts the cursor to its place.
func (w *painter) cursor(c cursor, origin bool) {
	y := c.y
	if origin {
		y = max(y-w.t.top, 0)
	}
	w.put(c, func(x int) { w.place(y, x) })
}

// put has move put the cursor to its column. Behind the last one it comes only by writing
// what is there again.
func (w *painter) put(c cursor, move func(x int)) {
	if !c.behind || w.t.modes.noWrap {
		move(c.x)
		return
	}
	x := c.x
	last := w.t.screen.row(c.y).at(x)
	if last.Tail() && x > 0 {
		x--
		last = w.t.screen.row(c.y).at(x)
	}
	move(x)
	w.out = append(w.out, plainText...)
	w.change(w.t.Style(last))
	w.glyph(last)
}

// plainText has a terminal take characters as they are, whatever was set before.
const plainText = "\x1b[4l\x1b(B\x0f"

func (w *painter) charsets(c charsets) {
	for i, set := range c.g {
		if final := map[charset]byte{graphics: '0', british: 'A'}[set]; final != 0 {
			w.out = append(w.out, '\x1b', "()*+"[i], final)
		}
	}
	w.out = append(w.out, [...]string{"", "\x0e", "\x1bn", "\x1bo"}[c.left]...)
	w.out = append(w.out, [...]string{"", "", "\x1bN", "\x1bO"}[c.single]...)
}

// Unfinished returns how many of the bytes that were written last belong to a sequence
// or a character whose end has not come yet.
func (t *Terminal) Unfinished() int64 {
	if t.parser.state != ground {
		return t.written - t.parser.begun
	}
	return int64(len(t.parser.partial))
}

// Abort ends a sequence that is unfinished, as CAN does, and drops what there is of a
// character.
func (t *Terminal) Abort() { t.parser.state, t.parser.partial = ground, t.parser.partial[:0] }
