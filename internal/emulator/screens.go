package emulator

import "strconv"

// screens are the two of a terminal, which have their size and their margins in common.
type screens struct {
	main, alternate *screen
	shown           *screen // one of the two
	rows, cols      int
	margins         margins
}

// screen is one of them, with the cursor that was saved on it.
type screen struct {
	grid
	saved savedCursor
}

func newScreens(rows, cols int) screens {
	s := screens{main: &screen{grid: newGrid(rows, cols)}, alternate: &screen{grid: newGrid(rows, cols)}, rows: rows, cols: cols}
	s.shown = s.main
	s.freeMargins()
	return s
}

// freeMargins has all rows lie between the margins.
func (s *screens) freeMargins() { s.margins = margins{0, s.rows} }

// marginsSet reports whether there are rows beyond the margins.
func (s *screens) marginsSet() bool { return s.margins != margins{0, s.rows} }

// alternated reports whether the alternate screen is shown.
func (s *screens) alternated() bool { return s.shown == s.alternate }

// clear empties the screen that is shown.
func (s *screens) clear(fill Cell) {
	for _, r := range s.shown.rows {
		r.clear(fill)
	}
}

// forget makes all that is on either screen unknown.
func (s *screens) forget() {
	for _, g := range []*screen{s.main, s.alternate} {
		for _, r := range g.rows {
			r.clear(Cell{glyph: isUnknown})
		}
	}
}

// known reports whether nothing that is shown is unknown.
func (s *screens) known() bool {
	for _, r := range s.shown.rows {
		if r.used < s.cols && r.fill.glyph == isUnknown {
			return false
		}
		for _, c := range r.cells[:r.used] {
			if c.glyph == isUnknown {
				return false
			}
		}
	}
	return true
}

// replace has another cell stand in the place of each one, of both screens.
func (s *screens) replace(other func(Cell) Cell) {
	for _, g := range []*screen{s.main, s.alternate} {
		for _, r := range g.rows {
			r.fill = other(r.fill)
			for i, c := range r.cells[:r.used] {
				r.cells[i] = other(c)
			}
		}
	}
}

// resize leaves out that many rows at the top, and those at the bottom that do not fit.
// Margins are taken back if there are more or fewer rows.
func (s *screens) resize(rows, cols, gone int) {
	for _, g := range []*screen{s.main, s.alternate} {
		g.resize(rows, cols, gone)
		g.saved.resize(rows, cols, gone, cols != s.cols)
	}
	otherRows := rows != s.rows
	s.rows, s.cols = rows, cols
	if otherRows {
		s.freeMargins()
	}
}

// margins are those between which text scrolls, DECSTBM: the rows from top to bottom,
// exclusive.
type margins struct{ top, bottom int }

// side returns on which side of the margins a row is: -1 above, 1 below, 0 between them.
func (m margins) side(y int) int {
	switch {
	case y < m.top:
		return -1
	case y >= m.bottom:
		return 1
	}
	return 0
}

// appendSet appends DECSTBM.
func (m margins) appendSet(b []byte) []byte {
	b = append(b, "\x1b["...)
	b = append(strconv.AppendInt(b, int64(m.top+1), 10), ';')
	return append(strconv.AppendInt(b, int64(m.bottom), 10), 'r')
}
