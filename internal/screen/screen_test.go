package screen_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"banger/internal/emulator"
	"banger/internal/screen"
	"banger/internal/termmodes"
)

// look is what a terminal shows.
type look struct {
	rows     []string
	text     string
	row, col int
	alt      bool
}

// show returns the look of a terminal after it was sent bytes.
func show(t *testing.T, rows, cols int, sent ...string) look {
	t.Helper()
	e := emulator.New(rows, cols)
	for _, s := range sent {
		_, _ = e.Write([]byte(s))
	}
	at := e.Cursor()
	l := look{row: at.Row, col: at.Col, alt: e.Alternate()}
	var text strings.Builder
	for y := range rows {
		var b strings.Builder
		for x := range cols {
			c := e.Cell(y, x)
			style := e.Style(c)
			if c.Blank() {
				style.Foreground = emulator.Default
			}
			b.WriteString(e.Text(c))
			text.WriteString(e.Text(c))
			if style != (emulator.Style{}) {
				fmt.Fprint(&b, style)
			}
		}
		l.rows = append(l.rows, b.String())
	}
	l.text = text.String()
	return l
}

func (l look) equal(m look) bool {
	return slices.Equal(l.rows, m.rows) && l.row == m.row && l.col == m.col && l.alt == m.alt
}

// source is a program's terminal after it wrote something.
func source(rows, cols int, written string) screen.Source {
	m := &termmodes.Modes{}
	m.Scan([]byte(written))
	return screen.Source{Rows: rows, Cols: cols, Modes: m, Output: []byte(written), Begun: true}
}

var programs = map[string]string{
	"nothing":       "",
	"a shell":       "$ ls --color\r\n\x1b[01;34mdir\x1b[0m  file\r\n$ ",
	"scrolled":      strings.Repeat("line\r\n", 100) + "$ ",
	"full screen":   "$ vim\r\n\x1b[?1049h\x1b[?1h\x1b=\x1b[2J\x1b[1;1Hfirst\x1b[24;1H\x1b[1m-- INSERT --\x1b[0m\x1b[3;5H",
	"came back":     "$ vim\r\n\x1b[?1049h\x1b[2J\x1b[5;5Hgone\x1b[?1049l$ ",
	"wide":          "漢字 and e\u0301 \x1b[44m  blue  \x1b[0m\x1b[K\r\n",
	"a last column": "\x1b[24;80H\x1b[32mx",
	"within a pen":  "\x1b[1;31mred so far",
	"its queries":   "\x1b[c\x1b[6n\x1b]11;?\x07done",
	"wide at last":  strings.Repeat("x", 78) + "漢",
	"saved":         "one\x1b[1;35m\x1b7\x1b[0m\r\ntwo",
	"line drawing":  "\x1b)0\x0elqqk",
	"origin":        "\x1b[5;10r\x1b[?6h\x1b[2;3Hhere",
	"inserting":     "abc\r\x1b[4h",
	"tabs":          "\x1b[3g\x1b[5G\x1bH\ta",
	"a link":        "\x1b]8;;http://a/\x1b\\to",
	"margins":       "\x1b[2;10r\x1b[10;1Hbottom\r\nagain\r\n",
}

func TestPaint_ShowsWhatTheProgramHasDrawn(t *testing.T) {
	for name, written := range programs {
		paint, complete := source(24, 80, written).Paint()
		if !complete {
			t.Errorf("%s: not complete", name)
		}
		// What was on the terminal before does not shine through.
		got := show(t, 24, 80, "old stuff\r\n\x1b[12;3Hmore of it", string(paint))
		if want := show(t, 24, 80, written); !got.equal(want) {
			t.Errorf("%s: painted %+v\nwant %+v", name, got, want)
		}
	}
}

func TestPaint_ProgramGoesOnFromThere(t *testing.T) {
	for name, written := range programs {
		for next, more := range map[string]string{
			"text":        "text that goes on",
			"a line":      "\r\nnext line\r\n",
			"leaving alt": "\x1b[?1049lback",
			"restoring":   "\x1b8there\t|",
		} {
			paint, _ := source(24, 80, written).Paint()
			got, want := show(t, 24, 80, string(paint), more), show(t, 24, 80, written, more)
			if name == "came back" && next == "leaving alt" {
				continue // what a second leaving restores is not a terminal's business
			}
			if !got.equal(want) {
				t.Errorf("%s, then %s: %+v\nwant %+v", name, next, got, want)
			}
		}
	}
}

func TestPaint_FromTheTailOnly(t *testing.T) {
	var drawn strings.Builder
	drawn.WriteString("$ top\r\n\x1b[?1049h\x1b[?25l")
	for i := range 500 {
		if i == 300 {
			drawn.WriteString("\x1b[2J")
		}
		fmt.Fprintf(&drawn, "\x1b[%d;1H\x1b[32mprocess %d\x1b[0m\x1b[K", i%20+1, i)
	}
	whole := source(24, 80, drawn.String())
	want := show(t, 24, 80, drawn.String())
	for _, cut := range []int{1, 2, 3, 4, 5, 2000} {
		tail := whole
		tail.Begun, tail.Output = false, whole.Output[cut:]
		paint, complete := tail.Paint()
		got := show(t, 24, 80, string(paint))
		if !complete || !slices.Equal(got.rows, want.rows) || !got.alt {
			t.Errorf("without the first %d bytes: complete %v, %q", cut, complete, got.rows)
		}
	}
	late := whole
	late.Begun, late.Output = false, whole.Output[len(whole.Output)-500:]
	if _, complete := late.Paint(); complete {
		t.Error("a screen that was drawn before is taken for complete")
	}
}

func TestPaint_SetsTheModes(t *testing.T) {
	m := termmodes.Of(map[int]bool{1: true, 25: false, 2004: true, 1049: true}, true)
	paint, complete := screen.Source{Rows: 24, Cols: 80, Modes: m, Output: []byte("no clear here")}.Paint()
	if complete {
		t.Error("a part is taken for the whole")
	}
	got := &termmodes.Modes{}
	got.Scan(paint)
	if fmt.Sprint(got.Private()) != fmt.Sprint(m.Private()) || !got.Keypad() {
		t.Errorf("painted with modes %v", got.Private())
	}
	got.Scan(got.Reset())
	if len(got.Private()) != 0 || got.Keypad() {
		t.Errorf("left with modes %v", got.Private())
	}
}

// Whatever a program has written, something of it is shown.
func TestPaint_IsNeverEmpty(t *testing.T) {
	fill := func(text string) string { return strings.Repeat(text, 32<<10/len(text)) }
	for name, written := range map[string]string{
		"a MiB of short lines":          strings.Repeat("7\r\n", screen.ReplayBytes/3),
		"short lines":                   fill("7\r\n"),
		"empty lines":                   fill("\r\n"),
		"a progress bar":                fill("[=====>    ] 42 %\r"),
		"one long line":                 fill("z"),
		"no character whole":            fill("\x80"),
		"no sequence whole":             fill("31;4"),
		"REP":                           fill("x\x1b[999999999b"),
		"ECH":                           fill("\x1b[999999999X"),
		"tabs":                          fill("\x1b[999999999I\x1b[999999999Z"),
		"scrolling":                     fill("\x1b[999999999S\x1b[999999999L"),
		"margins":                       fill("\x1b[1;999999999r\n"),
		"questions":                     fill("\x1b[?2048h\x1b[6n"),
		"the end of a picture":          fill("#0~~@@vv") + "\x1b\\",
		"the end of a long title":       fill("title") + "\a",
		"clearing":                      fill("\x1b[2J"),
		"E":                             fill("\x1b#8"),
		"screens":                       fill("\x1b[?1049h\x1b[?1049l"),
		"styles":                        fill("\x1b[38;2;1;2;3m\x1b[1;4:3m"),
		"a title that does not end yet": "\x1b]0;" + fill("title"),
	} {
		for _, begun := range []bool{true, false} {
			s := source(24, 80, written+"the prompt> ")
			s.Begun = begun
			paint, _ := s.Paint()
			if name == "a title that does not end yet" {
				paint = append(paint, "\athe prompt> "...)
			}
			got := show(t, 24, 80, "old\r\n", string(paint))
			if !strings.Contains(got.text, "the prompt> ") {
				t.Errorf("%s, begun %v: %d bytes are painted without the prompt", name, begun, len(paint))
			}
		}
	}
}

func TestPaint_WhatCannotBeDrawnIsShownAsText(t *testing.T) {
	for _, size := range [][2]int{{0, 0}, {-1, 5}, {65535, 65535}, {1, 65535}, {65535, 1}} {
		paint, complete := source(size[0], size[1], "\x1b[31mhel\x1b[mlo\r\n50 %\rwor\xffld\x1b[2").Paint()
		got := show(t, 24, 80, string(paint)).text
		if complete || !strings.Contains(got, "as text") || !strings.Contains(got, "hello") || !strings.Contains(got, "wor\ufffdld") {
			t.Errorf("%v: complete %v, %q", size, complete, paint)
		}
	}
}

// A program's terminal that gets the size of the one that is painted looks there as a
// terminal does that gets another size.
func TestPaint_InTheSizeThatIsToCome(t *testing.T) {
	s := source(24, 80, strings.Repeat("line\r\n", 23)+"\x1b[1;75H漢字漢\x1b[24;1H$ ls")
	s.ShowRows, s.ShowCols = 10, 40
	paint, _ := s.Paint()
	got := show(t, 10, 40, string(paint))
	if want := show(t, 10, 40, strings.Repeat("line\r\n", 9)+"$ ls"); !got.equal(want) {
		t.Errorf("painted %+v\nwant %+v", got, want)
	}
}

// A sequence that was cut is not text for the terminal that gets its end.
func TestPaint_GoesOnWithinASequence(t *testing.T) {
	written := "$ \x1b[31mred\x1b]0;title\x1b\\ 漢\x1b(0q\x1b(B\x1b[4;1Hend"
	want := show(t, 24, 80, written)
	for cut := range len(written) {
		paint, _ := source(24, 80, written[:cut]).Paint()
		if got := show(t, 24, 80, string(paint), written[cut:]); !got.equal(want) {
			t.Errorf("cut at %d: %+v\nwant %+v", cut, got, want)
		}
	}
}

func FuzzPaint(f *testing.F) {
	for _, written := range programs {
		f.Add([]byte(written), uint8(24), uint8(80), true)
	}
	f.Fuzz(func(t *testing.T, written []byte, rows, cols uint8, begun bool) {
		s := source(int(rows), int(cols), string(written))
		s.Begun = begun
		paint, _ := s.Paint()
		if len(paint) > 1<<20 {
			t.Errorf("%d bytes are painted", len(paint))
		}
	})
}

// A sequence that has no end yet continues with what comes next, but asks nothing by itself.
func TestPaint_AnUnfinishedSequenceAsksNothing(t *testing.T) {
	for written, end := range map[string]string{
		"x\x1b]2;t\u009c\u009b6n": "\x1b]99999;",
		"x\x1b]0;t\x9b6n\x1b":     "\x1b]99999;\x1b",
		"x\x1b]2;title":           "\x1b]2;title",
		"x\x1b[6":                 "\x1b[6",
		"x\xe6\xbc":               "\xe6\xbc",
	} {
		if paint, _ := source(24, 80, written).Paint(); !strings.HasSuffix(string(paint), end) || strings.Contains(string(paint), "6n") {
			t.Errorf("%q is painted by %q", written, paint)
		}
	}
}
