package emulator

import (
	"strings"
	"unicode/utf8"
)

// printer writes text on a display.
type printer struct {
	display display
	last    rune // the last character that was written, for REP; 0 if none
	joiners bool // some character with marks may end with a joiner
}

func (p *printer) reset() { p.last, p.joiners = 0, false }

// printASCII writes the printable ASCII characters with which text begins, at least
// one, and returns how many there are up to the end of the row, or further.
func (p *printer) printASCII(text []byte) int {
	d := &p.display
	c := &d.cursor
	if d.modes.insert || d.modes.noWrap || !c.charsets.plain() {
		return p.printEach(text)
	}
	ink := d.ink() // before cells are in use that are not written so far
	if c.behind {
		p.wrap()
	}
	r := d.row()
	if r.cells == nil || r.used < c.x {
		r.reach(c.x, d.screens.cols)
	}
	text = text[:min(len(text), d.screens.cols-c.x)]
	if r.wide {
		text = text[:lengthASCII(text)]
		r.split(c.x)
		r.split(c.x + len(text))
	}
	cells, n := r.cells[c.x:d.screens.cols][:len(text)], 0
	for n < len(text) && text[n]-0x20 < 0x5f {
		cells[n] = Cell{uint32(text[n]), ink}
		n++
	}
	p.last = rune(text[n-1])
	r.used = max(r.used, c.x+n)
	c.advance(n, d.screens.cols)
	return n
}

// printEach is printASCII for modes in which it matters what stands where.
func (p *printer) printEach(text []byte) int {
	text = text[:lengthASCII(text)]
	for _, c := range text {
		p.last = p.display.cursor.charsets.translate(rune(c))
		p.place(p.last, 1)
	}
	return len(text)
}

// lengthASCII returns with how many printable ASCII characters text begins.
func lengthASCII(text []byte) int {
	n := 0
	for n < len(text) && text[n] >= 0x20 && text[n] < 0x7f {
		n++
	}
	return n
}

// print writes one character.
func (p *printer) print(r rune) {
	if r < utf8.RuneSelf {
		r = p.display.cursor.charsets.translate(r)
	}
	if r >= 0x80 && r < 0xa0 {
		return // C1 controls: who writes them in UTF-8 does not mean them
	}
	n := Width(r)
	if n == 0 || p.joining() {
		p.combine(r)
		return
	}
	p.last = r
	p.place(r, n)
}

// place writes a character of one or two columns.
func (p *printer) place(r rune, n int) {
	d := &p.display
	c, cols, ink := &d.cursor, d.screens.cols, d.ink()
	switch {
	case n > cols:
		return
	case d.modes.noWrap:
		if c.x+n > cols {
			return
		}
	case c.behind || c.x+n > cols:
		p.wrap()
	}
	row := d.row()
	if d.modes.insert {
		row.insert(c.x, n, cols, d.fill())
	}
	row.reach(c.x, cols)
	row.split(c.x)
	row.split(c.x + n)
	row.used = max(row.used, c.x+n)
	row.cells[c.x] = Cell{uint32(r), ink}
	if n == 2 {
		row.wide = true
		row.cells[c.x].glyph |= isWide
		row.cells[c.x+1] = Cell{isTail, ink}
	}
	c.advance(n, cols)
}

// wrap continues in the next row.
func (p *printer) wrap() {
	d := &p.display
	d.row().wraps = true
	d.lineFeed()
	d.cursor.x, d.cursor.behind = 0, false
}

// before returns the cell of the character before the cursor, nil in the first column.
func (p *printer) before() *Cell {
	d := &p.display
	x := d.cursor.x
	if !d.cursor.behind {
		x--
	}
	row := d.row()
	if x >= 0 && row.at(x).Tail() {
		x--
	}
	if x < 0 {
		return nil
	}
	row.reach(x+1, d.screens.cols)
	return &row.cells[x]
}

const zeroWidthJoiner = '\u200d'

// joining reports whether the character before the cursor ends with a joiner.
func (p *printer) joining() bool {
	if !p.joiners {
		return false
	}
	c := p.before()
	return c != nil && c.glyph&isCluster != 0 && strings.HasSuffix(p.display.dictionary.text(*c), string(zeroWidthJoiner))
}

// combine adds a mark to the character before the cursor, or what is joined to it.
func (p *printer) combine(mark rune) {
	c := p.before()
	if c == nil {
		return
	}
	d := &p.display
	text := d.dictionary.text(*c) + string(mark)
	if len(text) > maxClusterBytes || c.glyph == isUnknown {
		return
	}
	p.joiners = p.joiners || mark == zeroWidthJoiner
	d.makeRoom() // which may change c
	c.glyph = d.dictionary.cluster(text) | c.glyph&isWide
}

// repeat is REP: the last character again, as often as there is room in the row.
func (p *printer) repeat(n int) {
	if p.last == 0 {
		return
	}
	d, last := &p.display, p.last
	width := Width(last)
	for range min(n, (d.screens.cols-d.cursor.x)/width) {
		if d.cursor.behind {
			break
		}
		p.place(last, width)
	}
}
