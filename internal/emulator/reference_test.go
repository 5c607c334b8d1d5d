package emulator_test

import (
	"fmt"
	"slices"
	"strings"

	"banger/internal/emulator"
)

// A step is bytes, or another size if rows is not 0.
type step struct {
	text       string
	rows, cols int
}

func (s step) String() string {
	if s.rows != 0 {
		return fmt.Sprintf("resize to %dx%d", s.rows, s.cols)
	}
	return fmt.Sprintf("%q", s.text)
}

// A story is what happens to a terminal of some size.
type story struct {
	rows, cols int
	steps      []token
}

// A glyph is a character on a screen with its looks, whatever its width is.
type glyph struct {
	text       string
	foreground emulator.Color
	background emulator.Color
	attributes emulator.Attributes
	underline  emulator.Underline
	erased     bool // of ours only: nothing was written there
}

// A look is what a terminal shows: its rows, without the blanks at their ends.
type look struct {
	rows     [][]glyph
	row, col int
}

// A reference is a terminal that others have written. It shows what becomes of stories.
type reference interface {
	show(stories []story) []look
	attributes() emulator.Attributes // those that it knows
	seesErased() bool                // it tells the background of what was erased
}

// ours is the look of a terminal of this package.
func ours(s story) look {
	t := emulator.New(s.rows, s.cols)
	for _, step := range s.steps {
		play(t, step.step)
	}
	return lookOf(t)
}

func play(t *emulator.Terminal, s step) {
	if s.rows != 0 {
		t.Resize(s.rows, s.cols)
		return
	}
	_, _ = t.Write([]byte(s.text))
}

func lookOf(t *emulator.Terminal) look {
	rows, cols := t.Size()
	l := look{rows: make([][]glyph, rows)}
	for y := range rows {
		for x := range cols {
			c := t.Cell(y, x)
			if c.Tail() {
				continue
			}
			s := t.Style(c)
			l.rows[y] = append(l.rows[y], glyph{t.Text(c), s.Foreground, s.Background, s.Attributes, s.Underline, c.Erased()})
		}
	}
	at := t.Cursor()
	l.row, l.col = at.Row, at.Col
	return l
}

// trim leaves out the blanks at the ends of rows.
func (l look) trim() look {
	for y := range l.rows {
		for n := len(l.rows[y]); n > 0; n-- {
			last := l.rows[y][n-1]
			if last.erased = false; last != (glyph{text: " "}) {
				break
			}
			l.rows[y] = l.rows[y][:n-1]
		}
	}
	return l
}

// difference says in what our look differs from that of a reference, "" if in nothing. Of what was erased the background counts.
func (l look) difference(m look, r reference) string {
	for y := range min(len(l.rows), len(m.rows)) {
		for x := range l.rows[y] {
			g := &l.rows[y][x]
			g.attributes &= r.attributes()
			if g.erased && x < len(m.rows[y]) && m.rows[y][x].text == " " {
				m.rows[y][x] = glyph{text: " ", background: m.rows[y][x].background}
			}
			if g.erased && x >= len(m.rows[y]) && !r.seesErased() {
				*g = glyph{text: " "}
			}
			g.erased = false
		}
	}
	for _, row := range m.rows {
		for x := range row {
			row[x].erased = false
		}
	}
	l, m = l.trim(), m.trim()
	var b strings.Builder
	if l.row != m.row || l.col != m.col {
		fmt.Fprintf(&b, "cursor at %d,%d, there at %d,%d\n", l.row, l.col, m.row, m.col)
	}
	if len(l.rows) != len(m.rows) {
		return fmt.Sprintf("%s%d rows, there %d\n", &b, len(l.rows), len(m.rows))
	}
	for y := range l.rows {
		if slices.Equal(l.rows[y], m.rows[y]) {
			continue
		}
		fmt.Fprintf(&b, "row %d:\n   here %s\n  there %s\n", y, describe(l.rows[y]), describe(m.rows[y]))
	}
	return b.String()
}

func describe(row []glyph) string {
	var b strings.Builder
	last := glyph{}
	for _, g := range row {
		text := g.text
		if g.text = ""; g != last {
			fmt.Fprintf(&b, "{%x/%x/%x/%d}", int(g.foreground), int(g.background), int(g.attributes), g.underline)
			last = g
		}
		b.WriteString(text)
	}
	return fmt.Sprintf("%+q", b.String())
}
