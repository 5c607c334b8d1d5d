package emulator

// command carries a control sequence out.
func (x *executor) command(s *sequence, final byte) {
	if s.mark == 0 && s.middle == 0 {
		x.plain(s, final)
		return
	}
	x.printer.last = 0
	d := &x.printer.display
	switch {
	case s.mark == '?' && s.middle == 0:
		switch final {
		case 'h', 'l':
			for _, mode := range s.params[:s.count] {
				x.setPrivate(mode, final == 'h')
			}
		case 'J':
			eraser{d, true}.screen(s.param(0, 0))
		case 'K':
			eraser{d, true}.row(s.param(0, 0))
		}
	case s.mark == 0 && s.middle == '!' && final == 'p':
		x.softReset()
	case s.mark == 0 && s.middle == '"' && final == 'q': // DECSCA
		d.pen.switchOff(protected)
		if s.param(0, 0) == 1 {
			d.pen.switchOn(protected)
		}
	}
}

// plain carries those out that have neither a mark nor an intermediate byte.
func (x *executor) plain(s *sequence, final byte) {
	if final == 'b' {
		x.printer.repeat(s.param(0, 1))
		return
	}
	d := &x.printer.display
	x.printer.last = 0
	switch final {
	case 'm':
		d.pen.sgr(s)
	case 'H', 'f': // CUP, HVP
		d.moveTo(s.param(0, 1)-1, s.param(1, 1)-1)
	case 'K':
		eraser{d, false}.row(s.param(0, 0))
	default:
		if !x.move(s, final) && !x.edit(s, final) {
			x.setting(s, final)
		}
	}
}

// move carries those out that move the cursor.
func (x *executor) move(s *sequence, final byte) bool {
	d := &x.printer.display
	c, margins, rows, cols := &d.cursor, d.screens.margins, d.screens.rows, d.screens.cols
	n := s.param(0, 1)
	switch final {
	case 'A', 'k': // CUU, VPB
		c.up(n, margins)
	case 'B', 'e': // CUD, VPR
		c.down(n, margins, rows)
	case 'C', 'a': // CUF, HPR
		c.toColumn(c.x+n, cols)
	case 'D', 'j': // CUB, HPB
		c.toColumn(c.x-n, cols)
	case 'E': // CNL
		c.down(n, margins, rows)
		c.x = 0
	case 'F': // CPL
		c.up(n, margins)
		c.x = 0
	case 'G', '`': // CHA, HPA
		c.toColumn(n-1, cols)
	case 'd': // VPA
		d.moveTo(n-1, c.x)
	case 'I': // CHT
		x.tab(n)
	case 'Z': // CBT
		x.tab(-n)
		c.behind = false
	default:
		return false
	}
	return true
}

// edit carries those out that change what is shown.
func (x *executor) edit(s *sequence, final byte) bool {
	d := &x.printer.display
	c, screen, margins, cols := &d.cursor, d.screens.shown, d.screens.margins, d.screens.cols
	n := s.param(0, 1)
	switch final {
	case '@': // ICH
		d.row().insert(c.x, n, cols, d.fill())
	case 'P': // DCH
		d.row().remove(c.x, n, cols, d.fill())
	case 'X': // ECH
		d.row().erase(c.x, min(c.x+n, cols), cols, d.fill())
	case 'L': // IL
		if margins.side(c.y) == 0 {
			screen.scrollDown(c.y, margins.bottom, n, d.fill())
		}
	case 'M': // DL
		if margins.side(c.y) == 0 {
			screen.scrollUp(c.y, margins.bottom, n, d.fill())
		}
	case 'S': // SU
		screen.scrollUp(margins.top, margins.bottom, n, d.fill())
	case 'T': // SD; with five parameters it is xterm's highlight tracking
		if s.count <= 1 {
			screen.scrollDown(margins.top, margins.bottom, n, d.fill())
		}
	case 'J':
		eraser{d, false}.screen(s.param(0, 0))
	default:
		return false
	}
	return true
}

// setting carries those out that change what later ones do.
func (x *executor) setting(s *sequence, final byte) {
	d := &x.printer.display
	switch final {
	case 'h', 'l':
		for _, mode := range s.params[:s.count] {
			switch mode {
			case 4:
				d.modes.insert = final == 'h'
			case 20:
				d.modes.newline = final == 'h'
			}
		}
	case 'r': // DECSTBM
		rows := d.screens.rows
		top, bottom := s.param(0, 1)-1, min(s.param(1, rows), rows)
		if top < bottom-1 || rows == 1 {
			d.screens.margins = margins{min(top, bottom-1), bottom}
			d.moveTo(0, 0)
		}
	case 's': // SCOSC; with DECLRMM it is DECSLRM
		if !d.modes.sideMargins {
			d.save()
		}
	case 'u':
		d.restore()
	case 'g': // TBC
		switch s.param(0, 0) {
		case 0:
			x.tabs[d.cursor.x] = false
		case 3:
			clear(x.tabs)
		}
	}
}

// setPrivate is DECSET and DECRST.
func (x *executor) setPrivate(mode int, on bool) {
	d := &x.printer.display
	switch mode {
	case 6: // DECOM
		d.modes.origin = on
		d.moveTo(0, 0)
	case 7: // DECAWM
		if on && d.modes.noWrap {
			d.cursor.behind = false
		}
		d.modes.noWrap = !on
	case 25: // DECTCEM
		d.modes.hidden = !on
	case 69: // DECLRMM
		d.modes.sideMargins = on
	case 47, 1047:
		d.showAlternate(on)
	case 1048:
		if on {
			d.save()
		} else {
			d.restore()
		}
	case 1049:
		if on {
			d.save()
			d.showAlternate(true)
			d.screens.clear(d.fill())
		} else {
			d.showAlternate(false)
			d.restore()
		}
	}
}
