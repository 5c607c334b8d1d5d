package emulator

// param returns the parameter i of the sequence, otherwise where it is absent or 0.
func (m *parser) param(i, otherwise int) int {
	if i < m.count && m.params[i] > 0 {
		return m.params[i]
	}
	return otherwise
}

// dispatch carries a control sequence out.
func (t *Terminal) dispatch(final byte) {
	m := &t.parser
	if m.mark == 0 && m.middle == 0 {
		t.plain(final)
		return
	}
	t.last = 0
	switch {
	case m.mark == '?' && m.middle == 0:
		switch final {
		case 'h', 'l':
			for _, mode := range m.params[:m.count] {
				t.setPrivate(mode, final == 'h')
			}
		case 'J':
			t.eraseScreen(m.param(0, 0), true)
		case 'K':
			t.eraseRow(m.param(0, 0), true)
		}
	case m.mark == 0 && m.middle == '!' && final == 'p':
		t.softReset()
	case m.mark == 0 && m.middle == '"' && final == 'q': // DECSCA
		t.pen.switchOff(protected)
		if m.param(0, 0) == 1 {
			t.pen.switchOn(protected)
		}
	}
}

// plain carries those out that have neither a mark nor an intermediate byte.
func (t *Terminal) plain(final byte) {
	m := &t.parser
	if final == 'b' {
		t.repeat(m.param(0, 1))
		return
	}
	t.last = 0
	switch final {
	case 'm':
		t.sgr()
	case 'H', 'f': // CUP, HVP
		t.moveTo(m.param(0, 1)-1, m.param(1, 1)-1)
	case 'K':
		t.eraseRow(m.param(0, 0), false)
	default:
		if !t.move(final) && !t.edit(final) {
			t.setting(final)
		}
	}
}

// move carries those out that move the cursor.
func (t *Terminal) move(final byte) bool {
	c, m := &t.cursor, &t.parser
	n := m.param(0, 1)
	switch final {
	case 'A': // CUU
		t.up(n)
	case 'B', 'e': // CUD, VPR
		t.down(n)
	case 'C', 'a': // CUF, HPR
		c.x = min(c.x+n, t.cols-1)
	case 'D', 'j': // CUB, HPB
		c.x = max(c.x-n, 0)
	case 'k': // VPB
		t.up(n)
	case 'E': // CNL
		t.down(n)
		c.x = 0
	case 'F': // CPL
		t.up(n)
		c.x = 0
	case 'G', '`': // CHA, HPA
		c.x = min(n, t.cols) - 1
	case 'd': // VPA
		t.moveTo(n-1, c.x)
	case 'I': // CHT
		t.tab(n)
		return true
	case 'Z': // CBT
		t.tab(-n)
	default:
		return false
	}
	c.behind = false
	return true
}

// up moves the cursor up, not over the margin.
func (t *Terminal) up(n int) {
	limit := 0
	if t.cursor.y >= t.top {
		limit = t.top
	}
	t.cursor.y = max(t.cursor.y-n, limit)
}

func (t *Terminal) down(n int) {
	limit := t.rows - 1
	if t.cursor.y < t.bottom {
		limit = t.bottom - 1
	}
	t.cursor.y = min(t.cursor.y+n, limit)
}

// moveTo is CUP, with y and x from 0. In origin mode, y counts from the top margin.
func (t *Terminal) moveTo(y, x int) {
	last := t.rows - 1
	if t.modes.origin {
		y += t.top
		last = t.bottom - 1
	}
	t.cursor.y, t.cursor.x, t.cursor.behind = min(y, last), min(x, t.cols-1), false
}

// edit carries those out that change what is shown.
func (t *Terminal) edit(final byte) bool {
	c, m := &t.cursor, &t.parser
	n := m.param(0, 1)
	switch final {
	case '@': // ICH
		t.row().insert(c.x, n, t.cols, t.fill())
	case 'P': // DCH
		t.row().remove(c.x, n, t.cols, t.fill())
	case 'X': // ECH
		t.row().erase(c.x, min(c.x+n, t.cols), t.cols, t.fill())
	case 'L': // IL
		if c.y >= t.top && c.y < t.bottom {
			t.screen.scrollDown(c.y, t.bottom, n, t.fill())
		}
	case 'M': // DL
		if c.y >= t.top && c.y < t.bottom {
			t.screen.scrollUp(c.y, t.bottom, n, t.fill())
		}
	case 'S': // SU
		t.screen.scrollUp(t.top, t.bottom, n, t.fill())
	case 'T': // SD; with five parameters it is xterm's highlight tracking
		if m.count <= 1 {
			t.screen.scrollDown(t.top, t.bottom, n, t.fill())
		}
	case 'J':
		t.eraseScreen(m.param(0, 0), false)
	default:
		return false
	}
	return true
}

// setting carries those out that change what later ones do.
func (t *Terminal) setting(final byte) {
	m := &t.parser
	switch final {
	case 'h', 'l':
		for _, mode := range m.params[:m.count] {
			switch mode {
			case 4:
				t.modes.insert = final == 'h'
			case 20:
				t.modes.newline = final == 'h'
			}
		}
	case 'r': // DECSTBM
		top, bottom := m.param(0, 1)-1, min(m.param(1, t.rows), t.rows)
		if top < bottom-1 || t.rows == 1 {
			t.top, t.bottom = min(top, bottom-1), bottom
			t.moveTo(0, 0)
		}
	case 's': // SCOSC; with DECLRMM it is DECSLRM
		if !t.modes.sideMargins {
			t.save()
		}
	case 'u':
		t.restore()
	case 'g': // TBC
		switch m.param(0, 0) {
		case 0:
			t.tabs[t.cursor.x] = false
		case 3:
			clear(t.tabs)
		}
	}
}

// setPrivate is DECSET and DECRST.
func (t *Terminal) setPrivate(mode int, on bool) {
	switch mode {
	case 6: // DECOM
		t.modes.origin = on
		t.moveTo(0, 0)
	case 7: // DECAWM
		if on && t.modes.noWrap {
			t.cursor.behind = false
		}
		t.modes.noWrap = !on
	case 25: // DECTCEM
		t.modes.hidden = !on
	case 69: // DECLRMM
		t.modes.sideMargins = on
	case 47, 1047:
		t.showAlternate(on)
	case 1048:
		if on {
			t.save()
		} else {
			t.restore()
		}
	case 1049:
		if on {
			t.save()
			t.showAlternate(true)
			t.clear()
		} else {
			t.showAlternate(false)
			t.restore()
		}
	}
}

// eraseScreen is ED, or DECSED if it is to spare what is protected.
func (t *Terminal) eraseScreen(how int, selective bool) {
	c := &t.cursor
	from, to := 0, t.rows
	switch how {
	case 0:
		t.eraseRow(0, selective)
		from = c.y + 1
	case 1:
		t.eraseRow(1, selective)
		to = c.y
	case 2:
	default: // 3 is the scrollback
		return
	}
	for y := from; y < to; y++ {
		t.eraseCells(y, 0, t.cols, selective)
	}
}

// eraseToEnd is EL 0, the usual one.
func (t *Terminal) eraseToEnd() {
	r, fill := t.row(), t.fill()
	if r.wide || r.fill != fill {
		r.erase(t.cursor.x, t.cols, t.cols, fill)
		return
	}
	r.used, r.wraps = min(r.used, t.cursor.x), false
}

// eraseRow is EL, or DECSEL.
func (t *Terminal) eraseRow(how int, selective bool) {
	c := &t.cursor
	switch how {
	case 0:
		t.eraseCells(c.y, c.x, t.cols, selective)
	case 1:
		t.eraseCells(c.y, 0, c.x+1, selective)
	case 2:
		t.eraseCells(c.y, 0, t.cols, selective)
	}
}

func (t *Terminal) eraseCells(y, from, to int, selective bool) {
	r := t.screen.row(y)
	fill := t.fill()
	if !selective {
		r.erase(from, to, t.cols, fill)
		return
	}
	for x := from; x < min(to, r.used); x++ {
		if t.look(r.cells[x]).attributes()&protected == 0 {
			r.erase(x, x+1, t.cols, fill)
		}
	}
	if last := max(from, r.used); last < to && t.look(r.fill).attributes()&protected == 0 {
		r.erase(last, to, t.cols, fill)
	}
}
