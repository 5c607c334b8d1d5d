package emulator

// row is one row of a screen. Cells at used and behind look like fill and have not
// been written: so to erase a row costs nothing but to say so.
type row struct {
	cells []Cell // as many as the grid has columns, or none yet
	used  int
	fill  Cell
	wide  bool // some cell may be half of a wide glyph
	wraps bool // the text continues on the next row
}

// clear makes the whole row look like fill.
func (r *row) clear(fill Cell) { r.used, r.fill, r.wide, r.wraps = 0, fill, false, false }

// at returns the cell of a column.
func (r *row) at(x int) Cell {
	if x < r.used {
		return r.cells[x]
	}
	return r.fill
}

// reach makes the cells up to and without column end be in use, of cols.
func (r *row) reach(end, cols int) {
	if r.cells == nil {
		r.cells = make([]Cell, cols)
	}
	for x := r.used; x < end; x++ {
		r.cells[x] = r.fill
	}
	r.used = max(r.used, end)
}

// split blanks the wide glyph of which the first half lies before column x and the
// second one at it: something is about to become of one half only.
func (r *row) split(x int) {
	if r.wide && x > 0 && x < r.used && r.cells[x].Tail() {
		r.cells[x], r.cells[x-1] = Cell{}, Cell{}
	}
}

// erase makes the cells from a column to another one, exclusive, look like fill.
func (r *row) erase(from, to, cols int, fill Cell) {
	r.split(from)
	r.split(to)
	if to >= cols {
		r.wraps = false
		switch {
		case from == 0:
			r.clear(fill)
			return
		case fill == r.fill:
			r.used = min(r.used, from)
			return
		}
	}
	r.reach(to, cols)
	for x := from; x < to; x++ {
		r.cells[x] = fill
	}
}

// insert moves the cells from x on to the right by n; what leaves the row is lost.
func (r *row) insert(x, n, cols int, fill Cell) {
	n = min(n, cols-x)
	r.split(x)
	r.reach(cols, cols)
	if r.wide && n < cols-x {
		r.split(cols - n)
	}
	copy(r.cells[x+n:], r.cells[x:cols-n])
	for i := x; i < x+n; i++ {
		r.cells[i] = fill
	}
}

// remove takes n cells out at x; blanks come in from the right.
func (r *row) remove(x, n, cols int, fill Cell) {
	n = min(n, cols-x)
	r.split(x)
	r.split(x + n)
	r.reach(cols, cols)
	copy(r.cells[x:], r.cells[x+n:])
	for i := cols - n; i < cols; i++ {
		r.cells[i] = fill
	}
}

// grid is the cells of one screen: a ring of rows, so that to scroll all of it moves
// nothing.
type grid struct {
	rows []*row
	top  int // index in rows of the first row of the screen
	cols int
}

func newGrid(rows, cols int) grid {
	g := grid{rows: make([]*row, rows), cols: cols}
	made := make([]row, rows)
	for i := range g.rows {
		g.rows[i] = &made[i]
	}
	return g
}

// resize leaves out that many rows at the top, and those at the bottom that do not fit.
func (g *grid) resize(rows, cols, gone int) {
	next := newGrid(rows, cols)
	for y := range min(rows, len(g.rows)-gone) {
		old, r := g.row(y+gone), next.rows[y]
		if cols > g.cols && old.fill != (Cell{}) && old.fill.glyph != isUnknown {
			old.reach(g.cols, g.cols) // what is new is plain
			old.fill = Cell{}
		}
		*r = row{used: min(old.used, cols), fill: old.fill, wide: old.wide}
		if old.used == 0 {
			continue
		}
		r.cells = make([]Cell, cols)
		copy(r.cells[:r.used], old.cells)
		if end := r.used - 1; r.cells[end].Wide() { // its second half is gone
			r.cells[end] = Cell{}
		}
	}
	*g = next
}

func (g *grid) index(y int) int {
	if y += g.top; y >= len(g.rows) {
		y -= len(g.rows)
	}
	return y
}

// row returns the row y, from 0.
func (g *grid) row(y int) *row { return g.rows[g.index(y)] }

// scrollUp moves the rows from top to bottom, exclusive, up by n; empty ones follow.
func (g *grid) scrollUp(top, bottom, n int, fill Cell) {
	n = min(n, bottom-top)
	if top == 0 && bottom == len(g.rows) {
		for range n {
			g.rows[g.top].clear(fill)
			g.top = g.index(1)
		}
		return
	}
	g.rotate(top, bottom, n)
	for y := bottom - n; y < bottom; y++ {
		g.row(y).clear(fill)
	}
}

// scrollDown moves the rows from top to bottom, exclusive, down by n.
func (g *grid) scrollDown(top, bottom, n int, fill Cell) {
	n = min(n, bottom-top)
	g.rotate(top, bottom, bottom-top-n)
	for y := top; y < top+n; y++ {
		g.row(y).clear(fill)
	}
}

// rotate has the row at top+n come to top, and those before it to the bottom.
func (g *grid) rotate(top, bottom, n int) {
	if n == 0 || n == bottom-top {
		return
	}
	if g.top != 0 { // once after a full scroll
		straight := make([]*row, 0, len(g.rows))
		straight = append(append(straight, g.rows[g.top:]...), g.rows[:g.top]...)
		g.rows, g.top = straight, 0
	}
	part := g.rows[top:bottom]
	reverse(part[:n])
	reverse(part[n:])
	reverse(part)
}

func reverse(rows []*row) {
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
}
