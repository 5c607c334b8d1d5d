package emulator

import "unicode/utf8"

// parser is the state of a parser after Paul Williams' diagram of DEC's terminals
// (vt100.net/emu/dec_ansi_parser), for UTF-8: bytes from 0x80 on are text, and within
// sequences they are passed over.
type parser struct {
	state   state
	begun   int64  // index of the byte with which the sequence began
	written int64  // bytes so far
	partial []byte // of a character, at most three bytes

	sequence sequence
	osc      linkText
	executor executor
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

// write takes in what is written next.
func (m *parser) write(p []byte) {
	n := len(p)
	for len(p) > 0 {
		switch m.state {
		case ground:
			p = m.writeText(p)
			m.begun = m.written + int64(n-len(p)) - 1 // if it is not text any more
		case inSequence:
			p = m.writeSequence(p)
		case inOSC, inString:
			p = m.writeString(p)
		default:
			m.step(p[0])
			p = p[1:]
		}
	}
	m.written += int64(n)
}

// writeText takes text and controls up to an escape, and returns the rest.
func (m *parser) writeText(p []byte) []byte {
	if len(m.partial) > 0 {
		return m.writePartial(p)
	}
	for i := 0; i < len(p); {
		switch c := p[i]; {
		case c >= 0x20 && c < 0x7f:
			i += m.executor.printer.printASCII(p[i:])
		case c == 0x1b:
			n := m.wholeSequences(p[i:])
			if n == 0 {
				m.escape()
				return p[i+1:]
			}
			i += n
		case c < 0x80:
			m.executor.control(c)
			i++
		default:
			r, n := decode(p[i:])
			if n == 0 {
				m.partial = append(m.partial, p[i:]...)
				return nil
			}
			m.executor.printer.print(r)
			i += n
		}
	}
	return nil
}

// wholeSequences carries out the control sequences with which p begins, as far as they
// are complete and of the usual form: perhaps a mark, parameters and the final byte. It
// returns their length; where it is 0, step is to look at each byte. Most of what a
// full-screen program writes are such sequences.
func (m *parser) wholeSequences(p []byte) int {
	s, printer := &m.sequence, &m.executor.printer
	display := &printer.display
	done := 0
next:
	for len(p)-done >= 3 && p[done] == 0x1b && p[done+1] == '[' {
		q := p[done:]
		c := q[2]
		if c == 'm' || c == 'K' { // the most usual ones of all
			printer.last = 0
			done += 3
			if c == 'm' {
				display.pen.reset()
			} else {
				display.eraseToEnd()
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
			s.params[count] = n
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
				s.mark, s.middle, s.count, s.colons = mark, 0, count, colons
				done += i + 1
				switch {
				case mark != 0:
					m.executor.command(s, c)
				case c == 'm':
					printer.last = 0
					display.pen.sgr(s)
				case c == 'H':
					printer.last = 0
					display.moveTo(s.param(0, 1)-1, s.param(1, 1)-1)
				default:
					m.executor.plain(s, c)
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
func (m *parser) writePartial(p []byte) []byte {
	had := m.partial
	whole := append(had, p[:min(len(p), utf8.UTFMax)]...)
	r, n := decode(whole)
	if n == 0 {
		m.partial = whole
		return nil
	}
	m.partial = had[:0]
	m.executor.printer.print(r)
	return p[n-len(had):]
}

// escape is what ESC does in any state: a new sequence begins.
func (m *parser) escape() {
	m.state = afterEscape
	m.sequence.begin()
}

// writeString takes what stands in an OSC or in another string.
func (m *parser) writeString(p []byte) []byte {
	for i, c := range p {
		switch {
		case c == 0x1b && m.state == inOSC:
			m.osc.add(p[:i])
			m.state = afterOSCEscape
			return p[i+1:]
		case c == 0x1b:
			m.escape()
			return p[i+1:]
		case c == 0x18 || c == 0x1a:
			m.state = ground
			return p[i+1:]
		case c == 0x07 && m.state == inOSC:
			m.osc.add(p[:i])
			m.state = ground
			m.endOSC()
			return p[i+1:]
		}
	}
	if m.state == inOSC {
		m.osc.add(p)
	}
	return nil
}

// writeSequence takes a control sequence up to its end, and returns the rest. Most bytes
// of one are digits.
func (m *parser) writeSequence(p []byte) []byte {
	for i, c := range p {
		if c >= '0' && c <= '9' {
			m.sequence.digit(int(c - '0'))
			continue
		}
		m.step(c)
		if m.state != inSequence {
			return p[i+1:]
		}
	}
	return nil
}

// step takes a byte of a sequence.
func (m *parser) step(c byte) {
	switch {
	case c == 0x1b:
		m.escape()
	case c == 0x18 || c == 0x1a: // CAN, SUB
		m.state = ground
	case m.state == afterOSCEscape && c == '\\': // ST
		m.state = ground
		m.endOSC()
	case m.state == afterOSCEscape:
		m.escape()
		m.step(c)
	case c < 0x20:
		m.executor.control(c)
	case c >= 0x7f:
	case m.state == afterEscape:
		m.escaped(c)
	default:
		m.parameter(c)
	}
}

// endOSC carries an OSC out: hyperlinks are the only ones that change the screen.
func (m *parser) endOSC() {
	if l, ok := m.osc.link(); ok {
		m.executor.link(l)
	}
}

// escaped takes a byte behind ESC.
func (m *parser) escaped(c byte) {
	s := &m.sequence
	switch {
	case c < 0x30:
		s.setMiddle(c)
	case s.middle != 0:
		m.state = ground
		m.executor.escape(s, c)
	case c == '[':
		m.state = inSequence
		s.beginParams()
	case c == ']':
		m.state = inOSC
		m.osc.begin()
	case c == 'P' || c == 'X' || c == '^' || c == '_' || c == 'k':
		m.state = inString
	default:
		m.state = ground
		m.executor.escape(s, c)
	}
}

// parameter takes a byte of a control sequence that is not a digit.
func (m *parser) parameter(c byte) {
	s := &m.sequence
	switch {
	case c == ';' || c == ':':
		s.separator(c == ':')
	case c >= '<' && c <= '?':
		s.setMark(c)
	case c < 0x30:
		s.setMiddle(c)
	default:
		m.state = ground
		if !s.broken {
			m.executor.command(s, c)
		}
	}
}

// unfinished returns how many of the bytes that were written last belong to a sequence
// or a character whose end has not come yet.
func (m *parser) unfinished() int64 {
	if m.state != ground {
		return m.written - m.begun
	}
	return int64(len(m.partial))
}

// abort drops what is unfinished.
func (m *parser) abort() { m.state, m.partial = ground, m.partial[:0] }
