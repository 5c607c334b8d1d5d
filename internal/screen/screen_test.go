package screen_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"

	"banger/internal/screen"
	"banger/internal/termmodes"
)

// look is what a terminal shows.
type look struct {
	rows     []string
	row, col int
	alt      bool
}

// show returns the look of a terminal after it was sent bytes.
func show(t *testing.T, rows, cols int, sent ...string) look {
	t.Helper()
	e := vt.NewEmulator(cols, rows)
	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, e) }()
	for _, s := range sent {
		_, _ = e.WriteString(s)
	}
	at := e.CursorPosition()
	l := look{rows: strings.Split(e.Render(), "\n"), row: at.Y, col: at.X, alt: e.IsAltScreen()}
	_ = e.InputPipe().(io.Closer).Close()
	<-drained
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
		} {
			paint, _ := source(24, 80, written).Paint()
			got, want := show(t, 24, 80, string(paint), more), show(t, 24, 80, written, more)
			if name == "came back" && next == "leaving alt" {
				continue // what a second leaving restores is no terminal's business
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

func TestPaint_HostileOutputEndsSoon(t *testing.T) {
	for _, evil := range []string{
		"x\x1b[999999999b", "\x1b[999999999X", "\x1b[999999999I", "\x1b[999999999S\x1b[999999999L", "\x1b[1;999999999r\n",
		"\x1b]0;", "\x1bP", "\x1b[?2048h\x1b[6n",
	} {
		begun := time.Now()
		source(50, 200, strings.Repeat(evil, screen.ReplayBytes/len(evil))).Paint()
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%q took %s", evil, took)
		}
	}
	for _, size := range [][2]int{{0, 0}, {-1, 5}, {65535, 65535}, {1, 1}, {1, 65535}} {
		source(size[0], size[1], "hello\r\nworld").Paint()
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
