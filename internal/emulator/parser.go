package emulator

import "unicode/utf8"

// parser is the state of a parser after Paul Williams' diagram of DEC's terminals
// (vt100.net/emu/dec_ansi_parser), for UTF-8: bytes from 0x80 on are text, and within
// sequences they are passed over.
type parser struct {
	state   state
	begun   int64  // index of the byte with which the sequence began
	partial []byte // of a character, at most three bytes

	mark    byte // of a control sequence: '<' to '?', or 0
	middle  byte // the intermediate byte, or 0
	broken  bool // the sequence has more intermediate bytes than any that is known
	params  [maxParams]int
	colons  uint32 // bit i: a colon stands before the parameter i
	count   int    // of params
	tooMany bool   // the parameter that is read is one too many

	text []byte // of an OSC, if it is worth keeping
	keep bool
}

type state byte

const (
	ground state = iota
	afterEscape
	inSequence
	inOSC
	inString       // DCS, APC, PM, SOS, and the title of screen: passed over
	afterOSCEscape // ESC within an OSC
)

const (
	maxParams = 32
	maxParam  = 1 << 16
)

// Write takes in what is written next; it never fails. Sequences and characters may
// be cut anywhere.
func (t *Terminal) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		switch t.parser.state {
		case ground:
			p = t.writeText(p)
			t.parser.begun = t.written + int64(n-len(p)) - 1 // if it is not text any more
		case inSequence:
			p = t.writeSequence(p)
		case inOSC, inString:
			p = t.writeString(p)
		default:
			t.step(p[0])
			p = p[1:]
		}
	}
	t.written += int64(n)
	return n, nil
}

// writeText takes text and controls up to an escape, and returns the rest.
func (t *Terminal) writeText(p []byte) []byte {
	if len(t.parser.partial) > 0 {
		return t.writePartial(p)
	}
	for i := 0; i < len(p); {
		switch c := p[i]; {
		case c >= 0x20 && c < 0x7f:
			i += t.printASCII(p[i:])
		case c == 0x1b:
			n := t.wholeSequences(p[i:])
			if n == 0 {
				t.parser.escape()
				return p[i+1:]
			}
			i += n
		case c < 0x80:
			t.control(c)
			i++
		default:
			r, n := decode(p[i:])
			if n == 0 {
				t.parser.partial = append(t.parser.partial, p[i:]...)
				return nil
			}
			t.print(r)
			i += n
		}
	}
	return nil
}

// wholeSequences carries out the control sequences with which p begins, as far as they
// are complete and of the usual form: perhaps a mark, parameters and the final byte. It
// returns their length; where it is 0, step is to look at each byte. Most of what a
// full-screen program writes are such sequences.
func (t *Terminal) wholeSequences(p []byte) int {
	m := &t.parser
	done := 0
next:
	for len(p)-done >= 3 && p[done] == 0x1b && p[done+1] == '[' {
		q := p[done:]
		c := q[2]
		if c == 'm' || c == 'K' { // the most usual ones of all
			t.last = 0
			done += 3
			if c == 'm' {
				t.pen.reset()
			} else {
				t.eraseToEnd()
			}
			continue
		}
		i, mark := 2, byte(0)
		if c >= '<' && c <= '?' {
			i, mark = 3, c
		}
		count, colons := 0, uint32(0)
		for begin := i; i < len(q); i++ {
			n, first := -1, i
			if c = q[i]; c-'0' <= 9 {
				n = int(c - '0')
				for i++; i < len(q) && q[i]-'0' <= 9; i++ {
					n = n*10 + int(q[i]-'0')
				}
				if i-first > maxDigits || i == len(q) {
					return done
				}
				c, n = q[i], min(n, maxParam)
			}
			m.params[count] = n
			switch {
			case c == ';' && count < maxParams-1:
				count++
			case c == ':' && count < maxParams-1:
				count++
				colons |= 1 << count
			case c < 0x40 || c >= 0x7f:
				return done
			default:
				if i > begin {
					count++
				}
				m.mark, m.middle, m.count, m.colons = mark, 0, count, colons
				done += i + 1
				switch {
				case mark != 0:
					t.dispatch(c)
				case c == 'm':
					t.last = 0
					t.sgr()
				case c == 'H':
					t.last = 0
					t.moveTo(m.param(0, 1)-1, m.param(1, 1)-1)
				default:
					t.plain(c)
				}
				continue next
			}
		}
		break
	}
	return done
}

// maxDigits is how many digits of a number are read at once.
const maxDigits = 9

// writePartial takes the rest of a character.
func (t *Terminal) writePartial(p []byte) []byte {
	had := t.parser.partial
	whole := append(had, p[:min(len(p), utf8.UTFMax)]...)
	r, n := decode(whole)
	if n == 0 {
		t.parser.partial = whole
		return nil
	}
	t.parser.partial = had[:0]
	t.print(r)
	return p[n-len(had):]
}

// decode returns the first character and its length, 0 if more bytes are needed. What
// is no UTF-8 is U+FFFD, one for each part that begins like a character, so that what
// follows it is not lost; the Unicode Standard, 3.9, "maximal subparts".
func decode(p []byte) (rune, int) {
	need, low, high := 0, byte(0x80), byte(0xbf)
	switch c := p[0]; {
	case c < 0x80:
		return rune(c), 1
	case c >= 0xc2 && c <= 0xdf:
		need = 1
	case c >= 0xe0 && c <= 0xef:
		need = 2
		if c == 0xe0 {
			low = 0xa0
		} else if c == 0xed {
			high = 0x9f
		}
	case c >= 0xf0 && c <= 0xf4:
		need = 3
		if c == 0xf0 {
			low = 0x90
		} else if c == 0xf4 {
			high = 0x8f
		}
	default:
		return utf8.RuneError, 1
	}
	r := rune(p[0]) & (0x3f >> need)
	for i := 1; i <= need; i++ {
		if i >= len(p) {
			return 0, 0
		}
		if p[i] < low || p[i] > high {
			return utf8.RuneError, i
		}
		r = r<<6 | rune(p[i]&0x3f)
		low, high = 0x80, 0xbf
	}
	return r, need + 1
}

// escape is what ESC does in any state: a new sequence begins.
func (m *parser) escape() { m.state, m.mark, m.middle, m.broken = afterEscape, 0, 0, false }

// writeString takes what stands in an OSC or in another string.
func (t *Terminal) writeString(p []byte) []byte {
	m := &t.parser
	for i, c := range p {
		switch {
		case c == 0x1b && m.state == inOSC:
			m.keepText(p[:i])
			m.state = afterOSCEscape
			return p[i+1:]
		case c == 0x1b:
			m.escape()
			return p[i+1:]
		case c == 0x18 || c == 0x1a:
			m.state = ground
			return p[i+1:]
		case c == 0x07 && m.state == inOSC:
			m.keepText(p[:i])
			m.state = ground
			t.osc()
			return p[i+1:]
		}
	}
	if m.state == inOSC {
		m.keepText(p)
	}
	return nil
}

// keepText keeps what may be a hyperlink. Nothing else in an OSC changes the screen.
func (m *parser) keepText(p []byte) {
	switch {
	case !m.keep:
	case len(m.text)+len(p) > maxLink:
		m.keep, m.text = false, m.text[:0]
	default:
		m.text = append(m.text, p...)
		if len(m.text) >= 2 && (m.text[0] != '8' || m.text[1] != ';') {
			m.keep = false
		}
	}
}

// writeSequence takes a control sequence up to its end, and returns the rest. Most bytes
// of one are digits.
func (t *Terminal) writeSequence(p []byte) []byte {
	m := &t.parser
	for i, c := range p {
		if c >= '0' && c <= '9' {
			m.digit(int(c - '0'))
			continue
		}
		t.step(c)
		if m.state != inSequence {
			return p[i+1:]
		}
	}
	return nil
}

// step takes a byte of a sequence.
func (t *Terminal) step(c byte) {
	m := &t.parser
	switch {
	case c == 0x1b:
		m.escape()
	case c == 0x18 || c == 0x1a: // CAN, SUB
		m.state = ground
	case m.state == afterOSCEscape && c == '\\': // ST
		m.state = ground
		t.osc()
	case m.state == afterOSCEscape:
		m.escape()
		t.step(c)
	case c < 0x20:
		t.control(c)
	case c >= 0x7f:
	case m.state == afterEscape:
		t.escaped(c)
	default:
		t.sequence(c)
	}
}

// escaped takes a byte behind ESC.
func (t *Terminal) escaped(c byte) {
	m := &t.parser
	switch {
	case c < 0x30:
		m.broken = m.broken || m.middle != 0
		m.middle = c
	case m.middle != 0:
		m.state = ground
		t.escape(c)
	case c == '[':
		m.state, m.count, m.colons, m.tooMany = inSequence, 0, 0, false
	case c == ']':
		m.state, m.text, m.keep = inOSC, m.text[:0], true
	case c == 'P' || c == 'X' || c == '^' || c == '_' || c == 'k':
		m.state = inString
	default:
		m.state = ground
		t.escape(c)
	}
}

// sequence takes a byte of a control sequence.
func (t *Terminal) sequence(c byte) {
	m := &t.parser
	switch {
	case c == ';' || c == ':':
		m.separator(c == ':')
	case c >= '<' && c <= '?':
		m.broken = m.broken || m.count > 0 || m.mark != 0 || m.middle != 0
		m.mark = c
	case c < 0x30:
		m.broken = m.broken || m.middle != 0
		m.middle = c
	default:
		m.state = ground
		if !m.broken {
			t.dispatch(c)
		}
	}
}

// digit adds a digit to the last parameter.
func (m *parser) digit(n int) {
	m.broken = m.broken || m.middle != 0
	if m.count == 0 {
		m.push(false)
	}
	if m.tooMany {
		return
	}
	p := &m.params[m.count-1]
	*p = min(max(*p, 0)*10+n, maxParam)
}

// separator begins the next parameter.
func (m *parser) separator(colon bool) {
	m.broken = m.broken || m.middle != 0
	if m.count == 0 {
		m.push(false)
	}
	m.push(colon)
}

// push appends a parameter that is not given yet; what is too much is left out.
func (m *parser) push(colon bool) {
	if m.tooMany = m.count == maxParams; m.tooMany {
		return
	}
	if colon {
		m.colons |= 1 << m.count
	}
	m.params[m.count] = -1
	m.count++
}
