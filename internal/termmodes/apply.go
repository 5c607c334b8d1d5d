package termmodes

import (
	"bytes"
	"strconv"
	"strings"
)

// setting is a control sequence with one number that stays in force: its mark, if it
// has one, its intermediate byte, if it has one, and its final byte.
type setting string

const (
	cursorShape setting = " q"  // DECSCUSR
	protection  setting = "\"q" // DECSCA
	printer     setting = "i"   // MC: what is written is printed
	printLines  setting = "?i"  // each line is printed, too
)

// settingInitially returns the number that a setting has after a reset, and whether it is one.
func settingInitially(s setting) (int, bool) {
	switch s {
	case cursorShape, protection,
		"'z", // DECELR: the mouse's place is typed
		"$}", // DECSASD: what is written goes to the status line
		"$~", // DECSSDT: the status line
		"*x", // DECSACE
		">s": // XTSHIFTESCAPE
		return 0, true
	case printer, printLines:
		return 4, true
	}
	return 0, false
}

// The modes of SM and RM.
const (
	ansiKeyboard = 2  // KAM: the keyboard is locked
	ansiInsert   = 4  // IRM
	ansiSilent   = 12 // SRM: what is typed is not shown by the terminal itself
	ansiNewline  = 20 // LNM
)

func ansiKnown(mode int) bool {
	return mode == ansiKeyboard || mode == ansiInsert || mode == ansiSilent || mode == ansiNewline
}

func ansiInitially(mode int) bool { return mode == ansiSilent }

// interpreter applies what is written to modes.
type interpreter struct{ *Modes }

// control implements receiver.
func (m interpreter) control(c byte) {
	switch c {
	case shiftOut:
		m.charsets.left = 1
	case shiftIn:
		m.charsets.left = 0
	}
}

// escape implements receiver.
func (m interpreter) escape(middle []byte, c byte) {
	if m.charsets.designate(middle, c) {
		return
	}
	switch string(middle) + string(rune(c)) {
	case "=":
		m.keypad = true
	case ">":
		m.keypad = false
	case "<": // from a VT52 back to what it was
		m.set(modeVT52, true)
	case "7":
		m.keep()
	case "8":
		m.bringBack()
	case "c":
		m.reset()
	case "n", "o", "~", "}", "|":
		m.charsets.shift(c)
	case "H": // HTS
		m.touched.tabs = true
	case "V": // SPA
		m.settings = change(m.settings, protection, 1, 0)
	case "W": // EPA
		m.settings = change(m.settings, protection, 0, 0)
	case "%@":
		m.charsets.noUTF8 = true
	case "%G", "%8":
		m.charsets.noUTF8 = false
	case " G":
		m.charsets.eightBit = true
	case " F":
		m.charsets.eightBit = false
	}
}

// sequence implements receiver.
func (m interpreter) sequence(p *parser, c byte) {
	switch {
	case p.is('?', ""):
		m.privateSequence(p, c)
	case p.is(0, ""):
		m.plainSequence(p, c)
	case p.is('>', "") && (c == 'm' || c == 'n' || c == 'f'):
		m.modifyKeys(p, c)
	case c == 'u' && len(p.middle) == 0:
		m.keyboard(p)
	case p.is(0, "!") && c == 'p':
		m.softReset()
	default:
		m.change(p, c)
	}
}

// privateSequence carries out CSI ? ….
func (m interpreter) privateSequence(p *parser, c byte) {
	for _, mode := range p.params {
		switch c {
		case 'h', 'l':
			m.set(mode, c == 'h')
		case 's':
			m.remember(mode)
		case 'r':
			m.restore(mode)
		case 'W':
			m.touched.tabs = m.touched.tabs && mode != 5 // DECST8C
		}
	}
	m.change(p, c)
}

// plainSequence carries out CSI … without a mark.
func (m interpreter) plainSequence(p *parser, c byte) {
	switch c {
	case 'h', 'l':
		for _, mode := range p.params {
			if ansiKnown(mode) {
				m.ansi = change(m.ansi, mode, c == 'h', ansiInitially(mode))
			}
		}
	case 'm':
		m.touched.pen = len(p.params) > 1 || p.param(0, 0) != 0
	case 'r':
		m.margins.top, m.margins.bottom = span(p)
	case 's':
		if m.private[modeSideMargin] {
			m.margins.left, m.margins.right = span(p)
		} else {
			m.keep()
		}
	case 'u':
		m.bringBack()
	case 'g', 'W':
		m.touched.tabs = true
	case 't':
		switch p.param(0, 0) {
		case 22:
			m.titles.push(p.param(1, 0))
		case 23:
			m.titles.pop(p.param(1, 0))
		}
	default:
		m.change(p, c)
	}
}

// span returns the margins that a sequence sets, 0 where the screen ends.
func span(p *parser) (from, to int) {
	if from, to = p.param(0, 0), p.param(1, 0); from <= 1 {
		from = 0
	}
	return from, to
}

// change carries out a setting.
func (m interpreter) change(p *parser, c byte) {
	s := setting(p.middle) + setting(rune(c))
	if p.mark != 0 {
		s = setting(rune(p.mark)) + s
	}
	initial, ok := settingInitially(s)
	if !ok {
		return
	}
	value := p.param(0, 0)
	switch {
	case initial == 4 && value != 4 && value != 5: // another use of MC
		return
	case s == protection && value != 1:
		value = 0
	}
	m.settings = change(m.settings, s, value, initial)
}

// str implements receiver.
func (m interpreter) str(kind byte, text []byte) {
	if kind != ']' {
		return
	}
	number, rest, _ := bytes.Cut(text, []byte(";"))
	osc, err := strconv.Atoi(string(number))
	if err != nil {
		return
	}
	switch {
	case osc >= 0 && osc <= 2:
		m.titles.set(osc, string(rest))
	case osc == 4 || osc == 5:
		m.palette.setIndexed(osc, string(rest))
	case osc == 8:
		_, target, _ := bytes.Cut(rest, []byte(";"))
		m.touched.link = len(target) > 0
	case osc == 9:
		m.progress(string(rest))
	case osc >= 10 && osc <= 19:
		m.palette.setDynamic(osc, string(rest))
	case osc == 21:
		m.palette.setNamed(string(rest))
	case osc == 22:
		m.pointer.handle(string(rest))
	case osc == 104 || osc == 105:
		m.palette.reset(osc-100, string(rest))
	case osc >= 110 && osc <= 119:
		delete(m.palette.colours, colour{osc - 100, 0})
	}
}

// longString implements receiver. What matters of a string that is too long is at its beginning.
func (m interpreter) longString(kind byte, text []byte) { m.str(kind, text) }

// progress carries out OSC 9 ; 4 ; state ; percent, the bar of ConEmu and others.
func (m interpreter) progress(text string) {
	if state, ok := strings.CutPrefix(text, "4;"); ok {
		m.touched.progress = !strings.HasPrefix(state, "0")
	}
}

// softReset carries out DECSTR.
func (m interpreter) softReset() {
	m.keypad = false
	for _, mode := range []int{1, modeOrigin, 7, 25} {
		m.set(mode, initially(mode))
	}
	m.ansi = change(m.ansi, ansiInsert, false, false)
	m.ansi = change(m.ansi, ansiKeyboard, false, false)
	noUTF8, eightBit := m.charsets.noUTF8, m.charsets.eightBit
	m.charsets = charsets{noUTF8: noUTF8, eightBit: eightBit}
	m.kept[m.screen()] = kept{}
	m.settings = change(m.settings, protection, 0, 0)
	m.margins, m.touched.pen = margins{}, false
}

// remember carries out XTSAVE of one private mode.
func (m interpreter) remember(mode int) {
	if canBeSaved(mode) {
		m.saved = change(m.saved, mode, m.isOn(mode), initially(mode))
	}
}

// restore carries out XTRESTORE of one private mode.
func (m interpreter) restore(mode int) {
	if !canBeSaved(mode) {
		return
	}
	on, differs := m.saved[mode]
	m.set(mode, differs && on || !differs && initially(mode))
}

// canBeSaved excepts the modes that move the cursor or change the screen when they are
// set: they could not be saved again for a client that attaches.
func canBeSaved(mode int) bool {
	return known(mode) && !isScreen(mode) && mode != modeOrigin && mode != modeSideMargin && mode != modeVT52
}
