package termmodes

import "bytes"

// parser cuts what is written to a terminal into text, controls and sequences, as
// ECMA-48 and xterm do: CAN and SUB break a sequence off, ESC begins another one, and
// other controls are carried out within a control sequence. Bytes come in pieces that
// are cut anywhere. Its memory is bounded, whatever they are.
type parser struct {
	state  parserState
	length int64  // of the sequence that is not complete yet, in bytes
	offset int64  // how many bytes came before those that are scanned now
	at     int64  // behind the byte that is looked at, counted from the first of all
	mark   byte   // of a control sequence: '<', '=', '>', '?', or 0
	middle []byte // its intermediate bytes, or those behind an ESC
	params []int  // of a control sequence; omitted for one that is empty
	odd    bool   // it breaks the order of mark, parameters and intermediate bytes, or has too many
	kind   byte   // of a string: the byte behind ESC
	text   []byte // of a string, as far as it is kept
	cut    bool   // the string is longer than what is kept of it
}

// receiver gets what a parser finds. Slices are valid during the call only.
type receiver interface {
	control(c byte)                 // SO, SI and ENQ
	escape(middle []byte, c byte)   // ESC, intermediate bytes, a final byte
	sequence(p *parser, c byte)     // CSI …, with the final byte; the rest is in the parser
	str(kind byte, text []byte)     // OSC (']'), DCS ('P'), APC ('_'), PM ('^'), SOS ('X'), or a title ('k')
	longString(kind byte, b []byte) // one of which only the beginning is kept
}

type parserState byte

const (
	inText parserState = iota
	afterEscape
	inSequence // behind ESC [
	inString   // behind ESC ] and the like
	endOfString
)

const (
	enq      = 0x05
	bel      = 0x07
	shiftOut = 0x0e
	shiftIn  = 0x0f
	can      = 0x18
	sub      = 0x1a
	escape   = 0x1b

	maxParams = 32
	maxParam  = 65535
	maxMiddle = 4
	maxText   = 2048
	omitted   = -1
)

// scan takes in what is written next.
func (p *parser) scan(b []byte, r receiver) {
	var at [4]int // where the next of each of the controls that matter is in b, from i on
	controls := [4]byte{escape, shiftOut, shiftIn, enq}
	for k, c := range controls {
		at[k] = indexFrom(b, 0, c)
	}
	defer func() { p.offset += int64(len(b)) }()
	for i := 0; i < len(b); i++ {
		if p.state == inText {
			next := len(b)
			for k, c := range controls {
				if at[k] < i {
					at[k] = indexFrom(b, i, c)
				}
				next = min(next, at[k])
			}
			if i = next; i == len(b) {
				return
			}
		}
		p.at = p.offset + int64(i) + 1
		p.step(b[i], r)
	}
}

// indexFrom returns where c is in b from i on, len(b) if it is not.
func indexFrom(b []byte, i int, c byte) int {
	if n := bytes.IndexByte(b[i:], c); n >= 0 {
		return i + n
	}
	return len(b)
}

func (p *parser) step(c byte, r receiver) {
	p.length++
	switch p.state {
	case inText:
		p.inText(c, r)
	case afterEscape:
		p.escaped(c, r)
	case inSequence:
		p.inSequence(c, r)
	case inString:
		p.inString(c, r)
	case endOfString:
		if c == '\\' {
			p.endString(r)
			return
		}
		p.begin() // any other escape sequence breaks the string off
		p.length++
		p.escaped(c, r)
	}
}

func (p *parser) inText(c byte, r receiver) {
	if c == escape {
		p.begin()
		return
	}
	p.ground()
	if c == shiftOut || c == shiftIn || c == enq {
		r.control(c)
	}
}

// begin is behind an ESC.
func (p *parser) begin() {
	p.state, p.length, p.middle = afterEscape, 1, p.middle[:0]
}

func (p *parser) ground() { p.state, p.length = inText, 0 }

// within takes a control within a sequence, and reports whether c is one.
func (p *parser) within(c byte, r receiver) bool {
	switch {
	case c == escape:
		p.begin()
	case c == can || c == sub:
		p.ground()
	case c == shiftOut || c == shiftIn || c == enq:
		r.control(c)
	default:
		return c < 0x20
	}
	return true
}

// escaped takes a byte behind ESC.
func (p *parser) escaped(c byte, r receiver) {
	switch {
	case p.within(c, r):
	case c >= 0x20 && c < 0x30:
		p.middle = appendBounded(p.middle, c, maxMiddle)
	case c == '[' && len(p.middle) == 0:
		p.state, p.mark, p.params, p.odd = inSequence, 0, append(p.params[:0], omitted), false
	case (c == ']' || c == 'P' || c == '_' || c == '^' || c == 'X' || c == 'k') && len(p.middle) == 0:
		p.state, p.kind, p.text, p.cut = inString, c, p.text[:0], false
	default:
		p.ground()
		if c < 0x7f {
			r.escape(p.middle, c)
		}
	}
}

// inSequence takes a byte of a control sequence.
func (p *parser) inSequence(c byte, r receiver) {
	switch {
	case p.within(c, r) || c == 0x7f:
	case c >= '0' && c <= '9':
		p.odd = p.odd || len(p.middle) > 0
		last := &p.params[len(p.params)-1]
		*last = min(max(*last, 0)*10+int(c-'0'), maxParam)
	case c == ';' || c == ':':
		if len(p.params) > maxParams {
			p.params = p.params[:maxParams] // the last one takes what is too much
		}
		p.odd = p.odd || len(p.middle) > 0
		p.params = append(p.params, omitted)
	case c >= '<' && c <= '?':
		p.odd = p.odd || p.mark != 0 || len(p.middle) > 0 || len(p.params) > 1 || p.params[0] != omitted
		p.mark = c
	case c >= 0x20 && c < 0x30:
		p.odd = p.odd || len(p.middle) == maxMiddle
		p.middle = appendBounded(p.middle, c, maxMiddle)
	default:
		p.ground()
		// Of colours what is too much may be cut; what terminals make of any other sequence
		// that is not as it should be is anybody's guess.
		p.odd = p.odd || len(p.params) > maxParams && c != 'm'
		if c < 0x7f && !p.odd {
			p.params = p.params[:min(len(p.params), maxParams)]
			r.sequence(p, c)
		}
	}
}

// inString takes a byte of a string. Only OSC ends with BEL, too.
func (p *parser) inString(c byte, r receiver) {
	switch {
	case c == escape:
		p.state = endOfString
	case c == can || c == sub:
		p.ground()
	case c == bel && p.kind == ']':
		p.endString(r)
	case len(p.text) < maxText:
		p.text = append(p.text, c)
	default:
		p.cut = true
	}
}

func (p *parser) endString(r receiver) {
	p.ground()
	if p.cut {
		r.longString(p.kind, p.text)
	} else {
		r.str(p.kind, p.text)
	}
	if cap(p.text) > maxText/8 {
		p.text = nil // long ones are rare, and there is a parser for each session
	}
}

func appendBounded(b []byte, c byte, limit int) []byte {
	if len(b) >= limit {
		return b
	}
	return append(b, c)
}

// param returns a parameter of a control sequence, or other if it is not given.
func (p *parser) param(i, other int) int {
	if i >= len(p.params) || p.params[i] == omitted {
		return other
	}
	return p.params[i]
}

// is reports whether a control sequence has this mark and these intermediate bytes.
func (p *parser) is(mark byte, middle string) bool {
	return p.mark == mark && string(p.middle) == middle
}

// endsInText reports whether the terminal is not within a sequence when b has been written.
func (p *parser) endsInText(b []byte) bool {
	ahead := parser{state: p.state, kind: p.kind, params: []int{omitted}}
	ahead.scan(b, interpreter{&Modes{}})
	return ahead.state == inText
}
