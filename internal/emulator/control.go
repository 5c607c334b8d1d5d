package emulator

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// control carries a C0 control out.
func (t *Terminal) control(c byte) {
	x := &t.cursor
	switch c {
	case 0x08: // BS
		x.x, x.behind = max(x.x-1, 0), false
	case 0x09: // HT
		t.tab(1)
	case 0x0a, 0x0b, 0x0c: // LF, VT, FF
		t.lineFeed()
		if t.modes.newline {
			x.x, x.behind = 0, false
		}
	case 0x0d: // CR
		x.x, x.behind = 0, false
	case 0x0e: // SO
		x.charsets.left = 1
	case 0x0f: // SI
		x.charsets.left = 0
	default:
		return
	}
	t.last = 0
}

// escape carries an escape sequence out.
func (t *Terminal) escape(final byte) {
	t.last = 0
	switch middle := t.parser.middle; {
	case t.parser.broken:
	case middle == '#' && final == '8':
		t.align()
	case middle >= '(' && middle <= '+':
		t.cursor.charsets.designate(int(middle-'('), final)
	case middle == 0:
		t.plainEscape(final)
	}
}

// plainEscape carries an escape sequence without intermediate bytes out.
func (t *Terminal) plainEscape(final byte) {
	c := &t.cursor
	switch final {
	case '7':
		t.save()
	case '8':
		t.restore()
	case 'D': // IND
		t.lineFeed()
	case 'E': // NEL
		t.lineFeed()
		c.x, c.behind = 0, false
	case 'H': // HTS
		t.tabs[c.x] = true
	case 'M': // RI
		t.reverseLineFeed()
	case 'N': // SS2
		c.charsets.single = 2
	case 'O': // SS3
		c.charsets.single = 3
	case 'n': // LS2
		c.charsets.left = 2
	case 'o': // LS3
		c.charsets.left = 3
	case 'c': // RIS
		t.reset()
	}
}

// align is DECALN: the screen full of E.
func (t *Terminal) align() {
	t.top, t.bottom = 0, t.rows
	t.moveTo(0, 0)
	for _, r := range t.screen.rows {
		r.clear(Cell{glyph: 'E'})
	}
}

// lineFeed moves the cursor a row down; at the bottom margin, the text goes up. A
// cursor behind the last column stays there.
func (t *Terminal) lineFeed() {
	c := &t.cursor
	switch {
	case c.y == t.bottom-1:
		t.screen.scrollUp(t.top, t.bottom, 1, t.fill())
	case c.y < t.rows-1:
		c.y++
	}
}

// reverseLineFeed moves the cursor a row up; at the top margin, the text goes down.
func (t *Terminal) reverseLineFeed() {
	c := &t.cursor
	switch {
	case c.y == t.top:
		t.screen.scrollDown(t.top, t.bottom, 1, t.fill())
	case c.y > 0:
		c.y--
	}
}

// tab moves the cursor to the n-th tab stop to the right, or to the left if n is
// less than 0.
func (t *Terminal) tab(n int) {
	c := &t.cursor
	step := 1
	if n < 0 {
		n, step = -n, -1
	}
	for n > 0 && c.x+step >= 0 && c.x+step < t.cols {
		if c.x += step; t.tabs[c.x] {
			n--
		}
		c.behind = false
	}
}

// osc carries an OSC out: hyperlinks are the only ones that change the screen.
func (t *Terminal) osc() {
	if !t.parser.keep {
		return
	}
	text, ok := strings.CutPrefix(string(t.parser.text), "8;")
	if !ok {
		return
	}
	params, uri, ok := strings.Cut(text, ";")
	if !ok || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return
	}
	if uri == "" {
		params = ""
	}
	t.pen.setLink(t.linkTo(Link{params, uri}))
}
