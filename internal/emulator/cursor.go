package emulator

// cursor is where the next character comes to, and how it is read.
type cursor struct {
	y, x     int
	behind   bool // the last column; the next character begins a new row, if that is on
	charsets charsets
}

// savedCursor is what DECSC saves.
type savedCursor struct {
	cursor
	pen    look
	origin bool
	set    bool // it was saved, by DECSC
}

// toColumn moves the cursor within its row, at most to the last of cols.
func (c *cursor) toColumn(x, cols int) { c.x, c.behind = min(max(x, 0), cols-1), false }

// up moves the cursor up, not over the margin.
func (c *cursor) up(n int, m margins) {
	limit := 0
	if c.y >= m.top {
		limit = m.top
	}
	c.y, c.behind = max(c.y-n, limit), false
}

// down moves the cursor down, neither over the margin nor out of the rows.
func (c *cursor) down(n int, m margins, rows int) {
	limit := rows - 1
	if c.y < m.bottom {
		limit = m.bottom - 1
	}
	c.y, c.behind = min(c.y+n, limit), false
}

// advance moves the cursor over what was written.
func (c *cursor) advance(n, cols int) {
	if c.x += n; c.x >= cols {
		c.x, c.behind = cols-1, true
	}
}

// resize moves the cursor with its row, of which there were gone at the top, and into
// a screen of another size.
func (c *cursor) resize(rows, cols, gone int, otherCols bool) {
	c.y, c.x = min(max(c.y-gone, 0), rows-1), min(c.x, cols-1)
	c.behind = c.behind && !otherCols
}
