package emulator

// Saved reports whether a cursor was saved on the screen that is shown.
func (t *Terminal) Saved() bool { return t.display().screens.shown.saved.set }

// Inserting reports whether insert mode is set.
func (t *Terminal) Inserting() bool { return t.display().modes.insert }

// Wrapping reports whether autowrap is on.
func (t *Terminal) Wrapping() bool { return !t.display().modes.noWrap }

// Pen is the style of what is written next.
func (t *Terminal) Pen() Style { return t.display().pen.style() }

// Erased reports whether nothing was written in a cell since it was erased.
func (c Cell) Erased() bool { return c.glyph == 0 }

// HalfOfWide reports whether there is half of a wide character at the cursor.
func (t *Terminal) HalfOfWide() bool {
	c := t.Cell(t.display().cursor.y, t.display().cursor.x)
	return c.Wide() || c.Tail()
}

// SecondOfWide reports whether there is the second half of a wide character at the cursor.
func (t *Terminal) SecondOfWide() bool {
	return t.Cell(t.display().cursor.y, t.display().cursor.x).Tail()
}

// RowHasGap reports whether in the row of the cursor something was written behind a
// cell that was not.
func (t *Terminal) RowHasGap() bool {
	gap := false
	for _, c := range t.display().row().cells[:t.display().row().used] {
		if gap && !c.Erased() {
			return true
		}
		gap = gap || c.Erased()
	}
	return false
}

// SavedOtherCharsets reports whether DECRC on the main screen would change character sets.
func (t *Terminal) SavedOtherCharsets() bool {
	return t.display().screens.main.saved.charsets != t.display().cursor.charsets
}

// Drawing reports whether ASCII characters stand for others.
func (t *Terminal) Drawing() bool { return !t.display().cursor.charsets.plain() }

// Origin reports whether origin mode is set.
func (t *Terminal) Origin() bool { return t.display().modes.origin }

// Margins reports whether the cursor moves within margins, and is within them.
func (t *Terminal) Margins() (set, within bool) {
	return t.display().screens.marginsSet(), t.display().screens.margins.side(t.display().cursor.y) == 0
}

// RowHasWide reports whether there is a wide character in the row of the cursor.
func (t *Terminal) RowHasWide() bool { return t.display().row().wide }

// Interned is how many styles, clusters and links are kept.
func (t *Terminal) Interned() int {
	d := &t.display().dictionary
	return len(d.looks) + len(d.clusters) + len(d.links)
}

// Broken says what is wrong within the terminal, "" for nothing.
func (t *Terminal) Broken() string {
	c, s := t.display().cursor, &t.display().screens
	if c.y < 0 || c.y >= s.rows || c.x < 0 || c.x >= s.cols || s.margins.top >= s.margins.bottom || s.margins.bottom > s.rows {
		return "the cursor or a margin is outside of the screen"
	}
	for _, g := range []*screen{s.main, s.alternate} {
		for _, r := range g.rows {
			for x := range s.cols {
				cell := r.at(x)
				if cell.Wide() && (x+1 >= s.cols || !r.at(x+1).Tail()) || cell.Tail() && (x == 0 || !r.at(x-1).Wide()) {
					return "there is half of a wide character"
				}
				if cell.style&isInterned != 0 && int(cell.style&^isInterned) >= len(t.display().dictionary.looks) || t.Text(cell) == "" && !cell.Tail() {
					return "a cell shows nothing"
				}
			}
		}
	}
	return ""
}

// HasWide reports whether there is a wide character on the screen.
func (t *Terminal) HasWide() bool {
	for _, r := range t.display().screens.shown.rows {
		if r.wide {
			return true
		}
	}
	return false
}
