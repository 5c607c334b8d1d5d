package termmodes

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Quiet makes old output fit to be shown by a terminal once more: what draws and what
// sets the terminal's state stays, what has another effect is left out. Those effects
// were had when the program wrote it: questions were answered, the clipboard was
// written, notifications were shown, pages printed. The zero value is ready; not safe
// for concurrent use.
//
// It is a list of what is allowed. Terminals keep learning new questions and effects, and
// an answer that is typed into a session may be run by a shell; a sequence that is
// left out without need costs an old picture some decoration. So pictures of kitty and
// iTerm2, which are answered, delete files or store them, are not shown again.
type Quiet struct {
	parser    parser
	raw       []byte       // the sequence that is not complete yet
	allowed   []byte       // what remains of it when it is complete; nil if nothing does
	stream    streaming    // a string too long to be kept
	following int          // how many bytes of a UTF-8 character are to come
	lead      byte         // of that character
	shifts    []byte       // SO and SI within the sequence, at this byte
	deferred  map[int]bool // modes whose setting is answered at once
}

// streaming says what becomes of the rest of a string.
type streaming byte

const (
	keeping streaming = iota // it is kept until it is complete
	passing                  // it is passed on as it comes
	dropping
)

// maxKept bounds the string that is kept.
const maxKept = 64 << 10

// Filter returns what may be shown of p, which comes next.
func (q *Quiet) Filter(p []byte) []byte {
	out := make([]byte, 0, len(p))
	for _, c := range p {
		out = q.step(out, c)
	}
	return out
}

// Rest returns what brings the terminal from what was shown to what comes next, which is
// to be written to it as it is: what waits for its end, and the modes that were put off.
func (q *Quiet) Rest() []byte {
	var b []byte
	for _, mode := range sorted(q.deferred) {
		if q.deferred[mode] {
			b = appendPrivate(b, mode, true)
		}
	}
	if q.following == 1 && q.lead == 0xc2 {
		b = append(b, q.lead)
	}
	b = append(b, q.begun()...)
	*q = Quiet{}
	return b
}

// begun returns the sequence that is not complete. The rest of a string of which the
// beginning is not to be shown is to be taken for one.
func (q *Quiet) begun() []byte {
	within := q.parser.state == inString || q.parser.state == endOfString
	if q.stream != dropping && !(within && hasC1(wholeRunes(q.raw))) {
		return q.raw
	}
	b := []byte("\x1bX")
	if q.parser.kind == ']' {
		b = []byte("\x1b]99999;")
	}
	if q.parser.state == endOfString {
		b = append(b, escape)
	}
	return b
}

// wholeRunes leaves out the beginning of a character at the end of b.
func wholeRunes(b []byte) []byte {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

func (q *Quiet) step(out []byte, c byte) []byte {
	before := q.parser.state
	if before == inText && c != escape {
		return q.text(out, c)
	}
	q.following = 0
	if before == endOfString && c != '\\' {
		if q.stream == passing {
			out = append(out, "\x1b\\"...)
		}
		q.raw, q.stream = append(q.raw[:0], escape), keeping // it begins another sequence
	}
	if c == escape && before != inString {
		q.raw, q.stream = q.raw[:0], keeping
	}
	q.allowed = nil
	q.parser.step(c, q)
	out, q.shifts = append(out, q.shifts...), q.shifts[:0]
	isControl := c < 0x20 && c != escape && before != inString
	if !isControl || c == '\b' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r' {
		q.raw = append(q.raw, c)
	}
	switch {
	case q.stream == passing && q.parser.state == endOfString: // its ESC may begin another sequence
	case q.stream == passing:
		for _, b := range q.raw {
			if b < 0x80 { // sixels have no others
				out = append(out, b)
			}
		}
		q.raw = q.raw[:0]
	case q.stream == dropping:
		q.raw = q.raw[:0]
	case q.parser.state == inText:
		out = append(out, q.allowed...)
	case len(q.raw) > maxKept:
		if q.stream = dropping; isSixel(q.raw[2:]) && q.raw[1] == 'P' {
			q.stream = passing
		}
	}
	if q.parser.state == inText {
		q.raw, q.stream = nil, keeping
	}
	return out
}

// text takes a byte outside of sequences. The controls of one byte above 0x7f, which some
// terminals understand in either encoding, are left out.
func (q *Quiet) text(out []byte, c byte) []byte {
	switch {
	case c == enq || c == bel:
		return out
	case c < 0x80:
		q.following = 0
	case q.following > 0 && c < 0xc0:
		q.following--
		if q.lead == 0xc2 {
			if q.lead = 0; c < 0xa0 {
				return out
			}
			return append(out, 0xc2, c)
		}
	case c < 0xa0:
		return out
	case c >= 0xc0:
		q.following, q.lead = utf8Following(c), c
		if c == 0xc2 {
			return out // with the next one
		}
	}
	return append(out, c)
}

// utf8Following returns how many bytes follow the first one of a character.
func utf8Following(c byte) int {
	switch {
	case c >= 0xf0 && c < 0xf8:
		return 3
	case c >= 0xe0 && c < 0xf0:
		return 2
	case c >= 0xc0 && c < 0xe0:
		return 1
	}
	return 0
}

// control implements receiver. A shift within a sequence takes effect at once, whatever
// becomes of the sequence.
func (q *Quiet) control(c byte) {
	if c != enq {
		q.shifts = append(q.shifts, c)
	}
}

// allow keeps the sequence that was just completed with c.
func (q *Quiet) allow(c byte) { q.allowed = append(slices.Clip(q.raw), c) }

// escape implements receiver.
func (q *Quiet) escape(middle []byte, c byte) {
	if len(middle) == 0 && c == 'c' { // RIS
		q.deferred = nil
	}
	switch {
	case len(middle) == 0 && strings.IndexByte("6789<=>DEHMNOVWcno|}~", c) >= 0,
		len(middle) > 0 && strings.IndexByte("()*+-./#", middle[0]) >= 0,
		string(middle) == " " && (c == 'F' || c == 'G'):
		q.allow(c)
	}
}

// harmless are the control sequences that draw, move, or set: their mark, the
// intermediate bytes, and the final bytes.
func harmless(mark byte, middle string) string {
	switch string(rune(mark)) + middle {
	case "\x00":
		return "@ABCDEFGHIJKLMPSTWXZ`abdefghlmqrsu"
	case "?":
		return "JKWhlrs"
	case ">":
		return "Tfmnstu"
	case "<", "=":
		return "u"
	case "\x00 ":
		return "@Aqtu"
	case "\x00!":
		return "p"
	case "\x00\"":
		return "pq"
	case "\x00#":
		return "PQpq{}"
	case "\x00$":
		return "rtvxz{}~"
	case "\x00'":
		return "z{}~"
	case "\x00*":
		return "x"
	}
	return ""
}

// sequence implements receiver.
func (q *Quiet) sequence(p *parser, c byte) {
	switch {
	case p.is('?', "") && (c == 'h' || c == 'l') && slices.ContainsFunc(p.params, isAnswered):
		q.putOff(p, c)
	case p.is(0, "") && c == 't': // only the stack of titles; the rest asks, or moves the window
		if n := p.param(0, 0); n == 22 || n == 23 {
			q.allow(c)
		}
	case p.is(0, "") && c == 'T' && len(p.params) > 1: // it waits for an answer to the mouse
	case strings.IndexByte(harmless(p.mark, string(p.middle)), c) >= 0:
		q.allow(c)
	}
}

// isAnswered reports whether terminals answer the setting of a mode with what they are to report.
func isAnswered(mode int) bool { return mode == 1004 || mode == 2031 || mode == 2048 }

// putOff remembers the modes that are answered, and keeps the others of a sequence.
func (q *Quiet) putOff(p *parser, c byte) {
	q.allowed = []byte{}
	for _, mode := range p.params {
		switch {
		case !isAnswered(mode):
			if mode != omitted {
				q.allowed = fmt.Appendf(q.allowed, "\x1b[?%d%c", mode, c)
			}
		case q.deferred == nil:
			q.deferred = map[int]bool{mode: c == 'h'}
		default:
			q.deferred[mode] = c == 'h'
		}
	}
}

// str implements receiver.
func (q *Quiet) str(kind byte, text []byte) {
	number, pairs, _ := strings.Cut(string(text), ";")
	switch {
	case hasC1(q.raw): // which ends the string for some terminals, and begins a sequence
	case harmlessString(kind, text):
		q.allow(q.lastOf(kind))
	case kind == ']' && (number == "4" || number == "5"):
		q.allowed = withoutQuestions(number, strings.Split(pairs, ";"), 2)
	case kind == ']' && number == "21":
		q.allowed = withoutQuestions(number, strings.Split(pairs, ";"), 1)
	}
}

// longString implements receiver. What is behind its beginning may ask something.
func (q *Quiet) longString(kind byte, text []byte) {
	if harmlessString(kind, text) && !hasC1(q.raw) && (kind == 'P' || bytes.IndexByte(q.raw, '?') < 0) {
		q.allow(q.lastOf(kind))
	}
}

// hasC1 reports whether there is a control of one byte above 0x7f, in either encoding.
func hasC1(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r >= 0x80 && r < 0xa0 || r == utf8.RuneError && n == 1 && b[0] < 0xa0 {
			return true
		}
		b = b[n:]
	}
	return false
}

// untilC1 returns a text without controls, up to the first that is above 0x7f: for some
// terminals that ends the string in which the text is.
func untilC1(text string) string {
	kept := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if hasC1([]byte(text[:n])) {
			break
		}
		if r >= 0x20 && r != 0x7f {
			kept = append(kept, text[:n]...)
		}
		text = text[n:]
	}
	return string(kept)
}

// isASCIIText reports whether there are only signs and blanks in a text.
func isASCIIText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// withoutQuestions returns an OSC without the groups of its fields that ask something; together is
// how many fields are a group.
func withoutQuestions(number string, fields []string, together int) []byte {
	var kept []string
	for group := range slices.Chunk(fields, together) {
		if !strings.Contains(strings.Join(group, ""), "?") {
			kept = append(kept, group...)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return []byte("\x1b]" + number + ";" + strings.Join(kept, ";") + "\x1b\\")
}

// lastOf returns the byte that has just ended a string.
func (q *Quiet) lastOf(kind byte) byte {
	if kind == ']' && (len(q.raw) == 0 || q.raw[len(q.raw)-1] != escape) {
		return bel
	}
	return '\\'
}

// harmlessString reports whether a string may be shown again: titles, colours, links, the
// pointer and text of other sizes; and sixel pictures.
func harmlessString(kind byte, text []byte) bool {
	if kind == 'P' {
		return isSixel(text)
	}
	number, rest, _ := bytes.Cut(text, []byte(";"))
	if kind != ']' {
		return false
	}
	switch string(number) {
	case "0", "1", "2", "8", "66", "104", "105", "110", "111", "112", "113", "114", "115", "116", "117", "118", "119", "30001", "30101":
		return true
	case "4", "5", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "21", "22":
		return !bytes.Contains(rest, []byte("?"))
	}
	return false
}

// isSixel reports whether a device control string is a picture: numbers, then q.
func isSixel(text []byte) bool {
	rest := bytes.TrimLeft(text, "0123456789;")
	return len(rest) > 0 && rest[0] == 'q'
}
