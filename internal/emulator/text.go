package emulator

import (
	"strings"
	"unicode/utf8"
)

// printASCII writes printable ASCII characters.
func (t *Terminal) printASCII(text []byte) {
	if t.penStale {
		t.refreshPen()
	}
	t.last = rune(text[len(text)-1])
	if t.modes.insert || !t.cursor.charsets.plain() {
		for _, c := range text {
			t.print(rune(c))
		}
		return
	}
	for len(text) > 0 {
		c := &t.cursor
		if c.behind && !t.modes.noWrap {
			t.wrap()
		}
		n := min(len(text), t.cols-c.x)
		r := t.row()
		if r.cells == nil || r.used < c.x {
			r.reach(c.x, t.cols)
		}
		if r.wide {
			r.split(c.x)
			r.split(c.x + n)
		}
		cells, style := r.cells[c.x:c.x+n], t.style
		for i, b := range text[:n] {
			cells[i] = Cell{uint32(b), style}
		}
		r.used = max(r.used, c.x+n)
		t.advance(n)
		text = text[n:]
		if t.modes.noWrap && len(text) > 0 && c.x == t.cols-1 { // the others take the last column's place
			text = text[len(text)-1:]
		}
	}
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
	if t.penStale {
		t.refreshPen()
	}
	c := &t.cursor
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
		row.insert(c.x, n, t.cols, t.blank)
	}
	row.reach(c.x, t.cols)
	row.split(c.x)
	row.split(c.x + n)
	row.used = max(row.used, c.x+n)
	row.cells[c.x] = Cell{uint32(r), t.style}
	if n == 2 {
		row.wide = true
		row.cells[c.x].glyph |= isWide
		row.cells[c.x+1] = Cell{isTail, t.style}
	}
	t.advance(n)
}

// wrap goes on in the next row.
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

const zeroWidthJoiner = "\u200d"

// joining reports whether the character before the cursor ends with a joiner.
func (t *Terminal) joining() bool {
	if len(t.clusters) == 0 {
		return false
	}
	c := t.before()
	return c != nil && c.glyph&isCluster != 0 && strings.HasSuffix(t.clusters[c.glyph&glyphBits], zeroWidthJoiner)
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
