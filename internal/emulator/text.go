package emulator

import (
	"strings"
	"unicode/utf8"
)

// printASCII writes the printable ASCII characters with which text begins, at least
// one, and returns how many there are up to the end of the row, or further.
func (t *Terminal) printASCII(text []byte) int {
	c := &t.cursor
	if t.modes.insert || t.modes.noWrap || !c.charsets.plain() {
		return t.printEach(text)
	}
	style := t.style() // before cells are in use that are not written so far
	if c.behind {
		t.wrap()
	}
	r := t.row()
	if r.cells == nil || r.used < c.x {
		r.reach(c.x, t.cols)
	}
	text = text[:min(len(text), t.cols-c.x)]
	if r.wide {
		text = text[:lengthASCII(text)]
		r.split(c.x)
		r.split(c.x + len(text))
	}
	cells, n := r.cells[c.x:t.cols], len(text)
	cells = cells[:n]
	for i, b := range text {
		if b-0x20 >= 0x5f {
			n = i
			break
		}
		cells[i] = Cell{uint32(b), style}
	}
	t.last = rune(text[n-1])
	r.used = max(r.used, c.x+n)
	t.advance(n)
	return n
}

// printEach is printASCII for modes in which it matters what stands where.
func (t *Terminal) printEach(text []byte) int {
	text = text[:lengthASCII(text)]
	for _, c := range text {
		t.last = t.cursor.charsets.translate(rune(c))
		t.place(t.last, 1)
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

// advance moves the cursor over what was written.
func (t *Terminal) advance(n int) {
	if t.cursor.x += n; t.cursor.x >= t.cols {
		t.cursor.x, t.cursor.behind = t.cols-1, true
	}
}

// print writes one character.
func (t *Terminal) print(r rune) {
	if r < utf8.RuneSelf {
		r = t.cursor.charsets.translate(r)
	}
	if r >= 0x80 && r < 0xa0 {
		return // C1 controls: who writes them in UTF-8 does not mean them
	}
	n := Width(r)
	if n == 0 || t.joining() {
		t.combine(r)
		return
	}
	t.last = r
	t.place(r, n)
}

// place writes a character of one or two columns.
func (t *Terminal) place(r rune, n int) {
	c, style := &t.cursor, t.style()
	switch {
	case n > t.cols:
		return
	case t.modes.noWrap:
		if c.x+n > t.cols {
			return
		}
	case c.behind || c.x+n > t.cols:
		t.wrap()
	}
	row := t.row()
	if t.modes.insert {
		row.insert(c.x, n, t.cols, t.fill())
	}
	row.reach(c.x, t.cols)
	row.split(c.x)
	row.split(c.x + n)
	row.used = max(row.used, c.x+n)
	row.cells[c.x] = Cell{uint32(r), style}
	if n == 2 {
		row.wide = true
		row.cells[c.x].glyph |= isWide
		row.cells[c.x+1] = Cell{isTail, style}
	}
	t.advance(n)
}

// wrap continues in the next row.
func (t *Terminal) wrap() {
	t.row().wraps = true
	t.lineFeed()
	t.cursor.x, t.cursor.behind = 0, false
}

// before returns the cell of the character before the cursor, nil in the first column.
func (t *Terminal) before() *Cell {
	x := t.cursor.x
	if !t.cursor.behind {
		x--
	}
	row := t.row()
	if x >= 0 && row.at(x).Tail() {
		x--
	}
	if x < 0 {
		return nil
	}
	row.reach(x+1, t.cols)
	return &row.cells[x]
}

const zeroWidthJoiner = '\u200d'

// joining reports whether the character before the cursor ends with a joiner.
func (t *Terminal) joining() bool {
	if !t.joiners {
		return false
	}
	c := t.before()
	return c != nil && c.glyph&isCluster != 0 && strings.HasSuffix(t.clusters[c.glyph&glyphBits], string(zeroWidthJoiner))
}

// combine adds a mark to the character before the cursor, or what is joined to it.
func (t *Terminal) combine(mark rune) {
	c := t.before()
	if c == nil {
		return
	}
	text := t.Text(*c) + string(mark)
	if len(text) > maxClusterBytes || c.glyph == isUnknown {
		return
	}
	t.joiners = t.joiners || mark == zeroWidthJoiner
	glyph := t.cluster(text) // which may change c
	c.glyph = glyph | c.glyph&isWide
}

// repeat is REP: the last character again, as often as there is room in the row.
func (t *Terminal) repeat(n int) {
	if t.last == 0 {
		return
	}
	last := t.last
	width := Width(last)
	for range min(n, (t.cols-t.cursor.x)/width) {
		if t.cursor.behind {
			break
		}
		t.place(last, width)
	}
}
