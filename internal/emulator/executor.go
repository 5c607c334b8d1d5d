package emulator

// executor carries out what a program writes besides text: controls, escape sequences
// and control sequences. The final byte says which one it is.
type executor struct {
	printer printer
	tabs    tabStops
}

// reset is RIS, for a terminal of that size.
func (x *executor) reset(rows, cols int) {
	x.printer.display.reset(rows, cols)
	x.printer.reset()
	x.tabs = newTabStops(cols)
}

// softReset is DECSTR.
func (x *executor) softReset() {
	d := &x.printer.display
	d.modes, d.pen.look = modes{newline: d.modes.newline}, look{}
	d.cursor.charsets = charsets{}
	d.cursor.behind = false
	d.screens.shown.saved = savedCursor{}
	d.screens.freeMargins()
}

// control carries a C0 control out.
func (x *executor) control(c byte) {
	d := &x.printer.display
	at := &d.cursor
	switch c {
	case 0x08: // BS
		at.x, at.behind = max(at.x-1, 0), false
	case 0x09: // HT
		x.tab(1)
	case 0x0a, 0x0b, 0x0c: // LF, VT, FF
		d.lineFeed()
		if d.modes.newline {
			at.x, at.behind = 0, false
		}
	case 0x0d: // CR
		at.x, at.behind = 0, false
	case 0x0e: // SO
		at.charsets.left = 1
	case 0x0f: // SI
		at.charsets.left = 0
	default:
		return
	}
	x.printer.last = 0
}

// tab moves the cursor to the n-th tab stop to the right, or to the left if n is
// less than 0.
func (x *executor) tab(n int) {
	c := &x.printer.display.cursor
	if to := x.tabs.from(c.x, n); to != c.x {
		c.x, c.behind = to, false
	}
}

// link carries OSC 8 out.
func (x *executor) link(l Link) {
	d := &x.printer.display
	d.makeRoom()
	d.pen.setLink(d.dictionary.link(l))
}

// escape carries an escape sequence out.
func (x *executor) escape(s *sequence, final byte) {
	x.printer.last = 0
	switch middle := s.middle; {
	case s.broken:
	case middle == '#' && final == '8':
		x.align()
	case middle >= '(' && middle <= '+':
		x.printer.display.cursor.charsets.designate(int(middle-'('), final)
	case middle == 0:
		x.plainEscape(final)
	}
}

// plainEscape carries an escape sequence without intermediate bytes out.
func (x *executor) plainEscape(final byte) {
	d := &x.printer.display
	c := &d.cursor
	switch final {
	case '7':
		d.save()
	case '8':
		d.restore()
	case 'D': // IND
		d.lineFeed()
	case 'E': // NEL
		d.lineFeed()
		c.x, c.behind = 0, false
	case 'H': // HTS
		x.tabs[c.x] = true
	case 'M': // RI
		d.reverseLineFeed()
	case 'N': // SS2
		c.charsets.single = 2
	case 'O': // SS3
		c.charsets.single = 3
	case 'n': // LS2
		c.charsets.left = 2
	case 'o': // LS3
		c.charsets.left = 3
	case 'c': // RIS
		x.reset(d.screens.rows, d.screens.cols)
	}
}

// align is DECALN: the screen full of E.
func (x *executor) align() {
	d := &x.printer.display
	d.screens.freeMargins()
	d.moveTo(0, 0)
	d.screens.clear(Cell{glyph: 'E'})
}
