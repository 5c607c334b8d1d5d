package emulator

// display is what a program draws on: the screens, what is drawn with and in which way.
type display struct {
	screens    screens
	cursor     cursor
	pen        pen
	modes      modes
	dictionary dictionary
}

// modes are those that change what the screen shows.
type modes struct {
	insert, newline, origin, noWrap, hidden, sideMargins bool
}

// reset makes the display empty and gives it a size.
func (d *display) reset(rows, cols int) {
	d.screens = newScreens(rows, cols)
	d.cursor, d.pen, d.modes = cursor{}, pen{}, modes{}
	d.dictionary.reset()
}

// row returns that of the cursor.
func (d *display) row() *row { return d.screens.shown.row(d.cursor.y) }

// ink returns what a cell says of the pen.
func (d *display) ink() uint32 {
	if d.pen.common&hasRest == 0 {
		return d.pen.common
	}
	return d.dip().ink
}

// fill returns what erasing leaves: blanks in the background of the pen.
func (d *display) fill() Cell {
	if d.pen.common&hasRest == 0 {
		return Cell{style: d.pen.common & background}
	}
	return Cell{style: d.dip().blank}
}

// dip returns the pen, looked up in the dictionary if it has changed.
func (d *display) dip() *pen {
	if d.pen.look != d.pen.interned {
		d.makeRoom()
		d.pen.lookUp(&d.dictionary)
	}
	return &d.pen
}

// makeRoom comes before anything is added to the dictionary. It may change what cells
// and pens say of their looks, clusters and links.
func (d *display) makeRoom() {
	if d.dictionary.full() {
		d.dictionary.collect(&d.screens, &d.pen)
	}
}

// moveTo is CUP, with y and x from 0. In origin mode, y counts from the top margin.
func (d *display) moveTo(y, x int) {
	last := d.screens.rows - 1
	if d.modes.origin {
		y += d.screens.margins.top
		last = d.screens.margins.bottom - 1
	}
	d.cursor.y, d.cursor.x, d.cursor.behind = min(y, last), min(x, d.screens.cols-1), false
}

// lineFeed moves the cursor a row down; at the bottom margin, the text goes up. A
// cursor behind the last column stays there.
func (d *display) lineFeed() {
	c, s := &d.cursor, &d.screens
	switch {
	case c.y == s.margins.bottom-1:
		s.shown.scrollUp(s.margins.top, s.margins.bottom, 1, d.fill())
	case c.y < s.rows-1:
		c.y++
	}
}

// reverseLineFeed moves the cursor a row up; at the top margin, the text goes down.
func (d *display) reverseLineFeed() {
	c, s := &d.cursor, &d.screens
	switch {
	case c.y == s.margins.top:
		s.shown.scrollDown(s.margins.top, s.margins.bottom, 1, d.fill())
	case c.y > 0:
		c.y--
	}
}

// save is DECSC.
func (d *display) save() {
	s := savedCursor{cursor: d.cursor, pen: d.pen.look, origin: d.modes.origin, set: true}
	s.behind = s.behind && !d.modes.noWrap
	d.screens.shown.saved = s
}

// restore is DECRC.
func (d *display) restore() {
	s := &d.screens.shown.saved
	d.cursor, d.pen.look, d.modes.origin = s.cursor, s.pen, s.origin
}

// showAlternate changes to the alternate screen, which is empty then, or back.
func (d *display) showAlternate(on bool) {
	switch {
	case on && !d.screens.alternated():
		d.screens.shown = d.screens.alternate
		d.screens.clear(d.fill())
	case !on:
		d.screens.shown = d.screens.main
	}
}

// resize gives the display another size: rows below the cursor leave before others do at
// the top.
func (d *display) resize(rows, cols int) {
	gone := max(0, d.cursor.y-rows+1)
	d.cursor.resize(rows, cols, gone, cols != d.screens.cols)
	d.screens.resize(rows, cols, gone)
}
