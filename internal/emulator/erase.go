package emulator

// eraser is ED and EL, or if it is selective DECSED and DECSEL, which spare what is
// protected.
type eraser struct {
	display   *display
	selective bool
}

// screen erases from the cursor on, up to it or all, as how says.
func (e eraser) screen(how int) {
	s, y := &e.display.screens, e.display.cursor.y
	from, to := 0, s.rows
	switch how {
	case 0:
		e.row(0)
		from = y + 1
	case 1:
		e.row(1)
		to = y
	case 2:
	default: // 3 is the scrollback
		return
	}
	for y := from; y < to; y++ {
		e.cells(y, 0, s.cols)
	}
}

// row erases the same of the cursor's row.
func (e eraser) row(how int) {
	c, cols := &e.display.cursor, e.display.screens.cols
	switch how {
	case 0:
		e.cells(c.y, c.x, cols)
	case 1:
		e.cells(c.y, 0, c.x+1)
	case 2:
		e.cells(c.y, 0, cols)
	}
}

// cells erases those of a row from one column to another one, exclusive.
func (e eraser) cells(y, from, to int) {
	r, cols := e.display.screens.shown.row(y), e.display.screens.cols
	fill := e.display.fill()
	if !e.selective {
		r.erase(from, to, cols, fill)
		return
	}
	for x := from; x < min(to, r.used); x++ {
		if !e.spares(r.cells[x]) {
			r.erase(x, x+1, cols, fill)
		}
	}
	if last := max(from, r.used); last < to && !e.spares(r.fill) {
		r.erase(last, to, cols, fill)
	}
}

func (e eraser) spares(c Cell) bool {
	return e.display.dictionary.look(c).attributes()&protected != 0
}

// eraseToEnd is EL 0, the usual one.
func (d *display) eraseToEnd() {
	r, fill := d.row(), d.fill()
	if r.wide || r.fill != fill {
		r.erase(d.cursor.x, d.screens.cols, d.screens.cols, fill)
		return
	}
	r.used, r.wraps = min(r.used, d.cursor.x), false
}
