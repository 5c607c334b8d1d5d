package shim

import "bytes"

// modes are those of a terminal that a command changes with the bytes it writes,
// and that decide what keys send and whether the cursor is seen: a client that
// attaches later must set them. See ECMA-48, and xterm's ctlseqs for the private
// ones. The zero value is a terminal that was reset.
type modes struct {
	private map[int]bool // those that differ from a terminal that was reset
	keypad  bool         // application keypad, DECKPAM

	state  scanState
	mark   byte  // of a control sequence: the private one, '?', another one, or 0
	middle byte  // the intermediate byte of a control sequence, or 0
	params []int // of a control sequence
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

// scan takes in what the command writes next.
func (m *modes) scan(p []byte) {
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

func (m *modes) step(c byte) {
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
func (m *modes) escaped(c byte) {
	m.state = inText
	switch c {
	case '[':
		m.state, m.mark, m.middle, m.params = inSequence, 0, 0, append(m.params[:0], 0)
	case '=':
		m.keypad = true
	case '>':
		m.keypad = false
	case 'c': // RIS
		*m = modes{params: m.params}
	}
}

// sequence takes a byte of a control sequence.
func (m *modes) sequence(c byte) {
	switch {
	case c >= '0' && c <= '9':
		last := &m.params[len(m.params)-1]
		*last = min(*last*10+int(c-'0'), maxParam)
	case c == ';' || c == ':':
		if len(m.params) < maxParams {
			m.params = append(m.params, 0)
		}
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
func (m *modes) final(c byte) {
	switch {
	case m.mark == '?' && m.middle == 0 && (c == 'h' || c == 'l'): // DECSET, DECRST
		for _, mode := range m.params {
			m.set(mode, c == 'h')
		}
	case m.mark == 0 && m.middle == '!' && c == 'p': // DECSTR
		m.keypad = false
		for _, mode := range []int{1, 6, 7, 25} {
			m.set(mode, initially(mode))
		}
	}
}

func (m *modes) set(mode int, on bool) {
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
