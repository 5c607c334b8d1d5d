// Package termmodes follows the modes of a terminal through the bytes that are
// written to it.
package termmodes

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Modes are those of a terminal that a program changes with the bytes it writes,
// and that decide what keys send and whether the cursor is seen: who attaches to
// the program later must set them. See ECMA-48, and xterm's ctlseqs for the private
// ones. The zero value is a terminal that was reset. Not safe for concurrent use.
type Modes struct {
	private map[int]bool // those that differ from a terminal that was reset
	keypad  bool

	state  scanState
	mark   byte  // of a control sequence: the private one, '?', another one, or 0
	middle byte  // the intermediate byte of a control sequence, or 0
	params []int // of a control sequence
}

// Of returns modes in which private and keypad are as the methods return them.
func Of(private map[int]bool, keypad bool) *Modes {
	m := &Modes{keypad: keypad}
	for mode, on := range private {
		m.set(mode, on)
	}
	return m
}

// Private returns the private modes (DECSET and DECRST) that differ from a
// terminal that was reset.
func (m *Modes) Private() map[int]bool { return maps.Clone(m.private) }

// Keypad reports whether the keypad sends application sequences (DECKPAM).
func (m *Modes) Keypad() bool { return m.keypad }

// AltScreen reports whether the alternate screen is shown.
func (m *Modes) AltScreen() bool { return m.private[1049] || m.private[1047] || m.private[47] }

// Set returns the bytes that bring a terminal from a reset to these modes, those
// that choose the screen excepted.
func (m *Modes) Set() []byte { return m.sequences(func(on bool) bool { return on }, m.keypad) }

// Reset returns the bytes that bring a terminal from these modes to a reset, those
// that choose the screen excepted.
func (m *Modes) Reset() []byte { return m.sequences(func(on bool) bool { return !on }, false) }

func (m *Modes) sequences(how func(on bool) bool, keypad bool) []byte {
	var b []byte
	for _, mode := range slices.Sorted(maps.Keys(m.private)) {
		if mode == 47 || mode == 1047 || mode == 1049 {
			continue
		}
		final := 'l'
		if how(m.private[mode]) {
			final = 'h'
		}
		b = fmt.Appendf(b, "\x1b[?%d%c", mode, final)
	}
	switch {
	case keypad:
		b = append(b, "\x1b="...)
	case m.keypad:
		b = append(b, "\x1b>"...)
	}
	return b
}

type scanState byte

const (
	inText scanState = iota
	afterEscape
	inSequence // behind ESC [
)

const (
	escape    = 0x1b
	maxParams = 16
	maxParam  = 9999
)

// known reports whether a private mode is followed: those of keys, mouse, cursor,
// wrapping and screens.
func known(mode int) bool {
	switch mode {
	case 1, 5, 6, 7, 9, 12, 25, 45, 47, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1047, 1049, 2004, 2031:
		return true
	}
	return false
}

// initially is the state of a private mode after a reset.
func initially(mode int) bool { return mode == 7 || mode == 25 }

// Scan takes in what is written next; sequences may be cut anywhere.
func (m *Modes) Scan(p []byte) {
	for len(p) > 0 {
		if m.state == inText {
			i := bytes.IndexByte(p, escape)
			if i < 0 {
				return
			}
			p = p[i:]
		}
		m.step(p[0])
		p = p[1:]
	}
}

func (m *Modes) step(c byte) {
	switch {
	case c == escape:
		m.state = afterEscape
	case c < 0x20 && c != 0x18 && c != 0x1a:
		// Other controls are carried out within a sequence; CAN and SUB end it.
	case m.state == afterEscape:
		m.escaped(c)
	case m.state == inSequence:
		m.sequence(c)
	}
}

// escaped takes the byte behind ESC.
func (m *Modes) escaped(c byte) {
	m.state = inText
	switch c {
	case '[':
		m.state, m.mark, m.middle, m.params = inSequence, 0, 0, append(m.params[:0], 0)
	case '=':
		m.keypad = true
	case '>':
		m.keypad = false
	case 'c': // RIS
		*m = Modes{params: m.params}
	}
}

// sequence takes a byte of a control sequence.
func (m *Modes) sequence(c byte) {
	switch {
	case c >= '0' && c <= '9':
		last := &m.params[len(m.params)-1]
		*last = min(*last*10+int(c-'0'), maxParam)
	case c == ';' || c == ':':
		if len(m.params) > maxParams {
			m.params = m.params[:maxParams] // the last one takes what is too much
		}
		m.params = append(m.params, 0)
	case c >= '<' && c <= '?':
		m.mark = c
	case c >= 0x20 && c < 0x30:
		m.middle = c
	default:
		m.state = inText
		m.final(c)
	}
}

// final carries a control sequence out.
func (m *Modes) final(c byte) {
	switch {
	case m.mark == '?' && m.middle == 0 && (c == 'h' || c == 'l'): // DECSET, DECRST
		for _, mode := range m.params[:min(len(m.params), maxParams)] {
			m.set(mode, c == 'h')
		}
	case m.mark == 0 && m.middle == '!' && c == 'p': // DECSTR
		m.keypad = false
		for _, mode := range []int{1, 6, 7, 25} {
			m.set(mode, initially(mode))
		}
	}
}

func (m *Modes) set(mode int, on bool) {
	switch {
	case !known(mode):
	case on == initially(mode):
		delete(m.private, mode)
	default:
		if m.private == nil {
			m.private = map[int]bool{}
		}
		m.private[mode] = on
	}
}
