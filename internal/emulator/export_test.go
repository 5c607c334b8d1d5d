package emulator

// Saved reports whether a cursor was saved on the screen that is shown.
func (t *Terminal) Saved() bool { return t.saved[t.which()].set }

// Inserting reports whether insert mode is set.
func (t *Terminal) Inserting() bool { return t.modes.insert }

// Wrapping reports whether autowrap is on.
func (t *Terminal) Wrapping() bool { return !t.modes.noWrap }

// Pen is the style of what is written next.
func (t *Terminal) Pen() Style { return t.pen.style() }

// Erased reports whether nothing was written in a cell since it was erased.
func (c Cell) Erased() bool { return c.glyph == 0 }

// HalfOfWide reports whether there is half of a wide character at the cursor.
func (t *Terminal) HalfOfWide() bool {
	c := t.Cell(t.cursor.y, t.cursor.x)
	return c.Wide() || c.Tail()
}

// SecondOfWide reports whether there is the second half of a wide character at the cursor.
func (t *Terminal) SecondOfWide() bool { return t.Cell(t.cursor.y, t.cursor.x).Tail() }

// RowHasGap reports whether in the row of the cursor something was written behind a
// cell that was not.
func (t *Terminal) RowHasGap() bool {
	gap := false
	for _, c := range t.row().cells[:t.row().used] {
		if gap && !c.Erased() {
			return true
		}
		gap = gap || c.Erased()
	}
	return false
}

// SavedOtherCharsets reports whether DECRC on the main screen would change character sets.
func (t *Terminal) SavedOtherCharsets() bool { return t.saved[0].charsets != t.cursor.charsets }

// Drawing reports whether ASCII characters stand for others.
func (t *Terminal) Drawing() bool { return !t.cursor.charsets.plain() }

// Origin reports whether origin mode is set.
func (t *Terminal) Origin() bool { return t.modes.origin }

// Margins reports whether the cursor moves within margins, and is within them.
func (t *Terminal) Margins() (set, within bool) {
	return t.top != 0 || t.bottom != t.rows, t.cursor.y >= t.top && t.cursor.y < t.bottom
}

// RowHasWide reports whether there is a wide character in the row of the cursor.
func (t *Terminal) RowHasWide() bool { return t.row().wide }

// Interned is how many styles, clusters and links are kept.
func (t *Terminal) Interned() int { return len(t.looks) + len(t.clusters) + len(t.links) }

// Broken says what is wrong within the terminal, "" for nothing.
func (t *Terminal) Broken() string {
	c := t.cursor
	if c.y < 0 || c.y >= t.rows || c.x < 0 || c.x >= t.cols || t.top >= t.bottom || t.bottom > t.rows {
		return "the cursor or a margin is outside of the screen"
	}
	for _, g := range []*grid{t.main, t.alternate} {
		for _, r := range g.rows {
			for x := range t.cols {
				cell := r.at(x)
				if cell.Wide() && (x+1 >= t.cols || !r.at(x+1).Tail()) || cell.Tail() && (x == 0 || !r.at(x-1).Wide()) {
					return "there is half of a wide character"
				}
				if cell.style&isInterned != 0 && int(cell.style&^isInterned) >= len(t.looks) || t.Text(cell) == "" && !cell.Tail() {
					return "a cell shows nothing"
				}
			}
		}
	}
	return ""
}

// HasWide reports whether there is a wide character on the screen.
func (t *Terminal) HasWide() bool {
	for _, r := range t.screen.rows {
		if r.wide {
			return true
		}
	}
	return false
}
