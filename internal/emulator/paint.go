package emulator

import (
	"strconv"
	"unicode/utf8"
)

// AppendScreen appends bytes that make a terminal show this screen. The terminal is of
// the same size or larger, was reset and cleared, and has its cursor anywhere; it is
// left with a plain pen.
func (t *Terminal) AppendScreen(b []byte) []byte {
	w := painter{display: t.display(), out: b}
	for y := range t.display().screens.rows {
		w.row(y, 0, t.display().screens.cols)
	}
	return w.end()
}

// AppendPart appends bytes that make a terminal show a part of a row of this screen,
// cols columns from col on, at the beginning of the terminal's row at. All of the part
// is written; of wide characters at its sides the half shows as a blank.
func (t *Terminal) AppendPart(b []byte, row, col, cols, at int) []byte {
	w := painter{display: t.display(), out: b, dy: at - row, dx: -col, whole: true}
	w.row(row, col, min(col+cols, t.display().screens.cols))
	return w.end()
}

// painter writes rows with as few changes of style as they need.
type painter struct {
	display *display
	out     []byte
	style   Style
	dy, dx  int  // from the screen's places to those of the terminal
	whole   bool // blanks are written, too
}

func (w *painter) end() []byte {
	w.change(Style{})
	return w.out
}

// row writes the cells of a row from one column to another one, exclusive.
func (w *painter) row(y, from, to int) {
	r := w.display.screens.shown.row(y)
	end := to
	if !w.whole {
		for end > from && w.plain(r.at(end-1)) {
			end--
		}
	}
	if end == from {
		return
	}
	w.place(y, from)
	for x := from; x < end; x++ {
		c := r.at(x)
		if n := w.blanks(r, x, end); n > 8 && !w.whole { // the terminal is blank
			w.out = append(w.out, "\x1b["...)
			w.out = append(strconv.AppendInt(w.out, int64(n), 10), 'C')
			x += n - 1
			continue
		}
		if c.Tail() && x > from {
			continue
		}
		w.change(w.display.dictionary.look(c).style())
		if c.Tail() || c.Wide() && x+1 == to {
			c = Cell{}
		}
		w.glyph(c)
	}
}

func (w *painter) place(y, x int) {
	w.out = append(w.out, "\x1b["...)
	w.out = append(strconv.AppendInt(w.out, int64(y+w.dy+1), 10), ';')
	w.out = append(strconv.AppendInt(w.out, int64(x+w.dx+1), 10), 'H')
}

// plain reports whether a cell looks as on a cleared screen.
func (w *painter) plain(c Cell) bool { return c.Blank() && c.style == 0 }

// blanks returns how many plain cells follow.
func (w *painter) blanks(r *row, x, end int) int {
	n := 0
	for x+n < end && w.plain(r.at(x+n)) {
		n++
	}
	return n
}

func (w *painter) glyph(c Cell) {
	switch {
	case c.Blank():
		w.out = append(w.out, ' ')
	case c.glyph&isCluster != 0:
		w.out = append(w.out, w.display.dictionary.clusters[c.glyph&glyphBits]...)
	default:
		w.out = utf8.AppendRune(w.out, rune(c.glyph&glyphBits))
	}
}

// change changes the style of what is written next.
func (w *painter) change(s Style) {
	s.Attributes &^= protected
	if s == w.style {
		return
	}
	if s.link != w.style.link {
		l := w.display.dictionary.links[s.link]
		w.out = append(append(append(append(append(w.out, "\x1b]8;"...), l.Params...), ';'), l.URI...), "\x1b\\"...)
	}
	w.out = s.appendChange(w.out, w.style)
	w.style = s
}

// appendChange appends the SGR that leads from one style to another one.
func (s Style) appendChange(b []byte, from Style) []byte {
	from.link = s.link
	if s == from {
		return b
	}
	b = append(b, "\x1b["...)
	begin := len(b)
	if plain := (Style{link: s.link}); s == plain || from.Attributes&^s.Attributes != 0 {
		b = append(b, '0')
		from = plain
	}
	parameter := func(text string) {
		if len(b) > begin {
			b = append(b, ';')
		}
		b = append(b, text...)
	}
	for i, number := range [...]string{"1", "2", "3", "5", "7", "8", "9", "53"} {
		if bit := Attributes(1 << i); s.Attributes&bit != 0 && from.Attributes&bit == 0 {
			parameter(number)
		}
	}
	if s.Underline != from.Underline {
		parameter([...]string{"24", "4", "4:2", "4:3", "4:4", "4:5"}[s.Underline])
	}
	if s.Foreground != from.Foreground {
		parameter(s.Foreground.sgr(30, 90, "38"))
	}
	if s.Background != from.Background {
		parameter(s.Background.sgr(40, 100, "48"))
	}
	if s.Line != from.Line {
		parameter(s.Line.lineSGR())
	}
	return append(b, 'm')
}

// sgr returns the parameters that set a colour: first and bright are those of the first
// colour of eight, and other that of all others.
func (c Color) sgr(first, bright int, other string) string {
	if r, g, b, ok := c.RGB(); ok {
		return other + ";2;" + strconv.Itoa(r) + ";" + strconv.Itoa(g) + ";" + strconv.Itoa(b)
	}
	switch n, ok := c.Index(); {
	case !ok:
		return strconv.Itoa(first + 9)
	case n < 8:
		return strconv.Itoa(first + n)
	case n < 16:
		return strconv.Itoa(bright + n - 8)
	default:
		return other + ";5;" + strconv.Itoa(n)
	}
}

// lineSGR is that of an underline's colour. With colons, a terminal that does not know it passes
// over it.
func (c Color) lineSGR() string {
	if r, g, b, ok := c.RGB(); ok {
		return "58:2::" + strconv.Itoa(r) + ":" + strconv.Itoa(g) + ":" + strconv.Itoa(b)
	}
	if n, ok := c.Index(); ok {
		return "58:5:" + strconv.Itoa(n)
	}
	return "59"
}
