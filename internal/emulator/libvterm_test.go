package emulator_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger/internal/emulator"
)

// libvterm is the terminal of neovim and others, in a process of its own.
type libvterm struct {
	t       *testing.T
	program string
	command *exec.Cmd
	in      *bufio.Writer
	out     *bufio.Reader
	err     error // it has crashed
}

func newLibvterm(t *testing.T) *libvterm {
	t.Helper()
	l := &libvterm{t: t, program: filepath.Join(t.TempDir(), "libvterm")}
	if out, err := exec.Command("gcc", "-O1", "-o", l.program, "testdata/libvterm.c", "-lvterm").CombinedOutput(); err != nil {
		t.Fatalf("cannot build the program that shows what libvterm shows (Debian's gcc, libvterm-dev): %v\n%s", err, out)
	}
	l.start()
	t.Cleanup(l.stop)
	return l
}

func (l *libvterm) start() {
	l.command = exec.Command(l.program)
	in, err := l.command.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := l.command.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.command.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.in, l.out, l.err = bufio.NewWriter(in), bufio.NewReader(out), nil
}

func (l *libvterm) stop() {
	_ = l.command.Process.Kill()
	_ = l.command.Wait()
}

func (l *libvterm) send(what byte, a, b int, data string) {
	for _, n := range []int{int(what), a, b} {
		_ = binary.Write(l.in, binary.NativeEndian, uint32(n))
	}
	_, _ = l.in.WriteString(data)
}

func (l *libvterm) number() int {
	var b [4]byte
	if l.err != nil {
		return 0
	}
	_, l.err = io.ReadFull(l.out, b[:])
	return int(binary.NativeEndian.Uint32(b[:]))
}

// show shows nothing where libvterm crashes.
func (l *libvterm) show(stories []story) []look {
	looks := make([]look, len(stories))
	for i, s := range stories {
		l.send('N', s.rows, s.cols, "")
		rows, cols := s.rows, s.cols
		for _, step := range s.joined() {
			if step.rows != 0 {
				rows, cols = step.rows, step.cols
				l.send('R', rows, cols, "")
				continue
			}
			l.send('W', len(step.text), 0, step.text)
		}
		l.send('D', 0, 0, "")
		_ = l.in.Flush()
		looks[i] = l.look(rows, cols)
		if l.err != nil {
			l.stop()
			l.start()
			looks[i] = look{}
		}
	}
	return looks
}

func (l *libvterm) look(rows, cols int) look {
	shown := look{row: l.number(), col: l.number(), rows: make([][]glyph, rows)}
	for y := range rows {
		for range cols {
			var text []rune
			for range l.number() {
				text = append(text, rune(l.number()))
			}
			attributes := l.number()
			g := glyph{
				text: string(text), attributes: emulator.Attributes(attributes & 0xff), underline: emulator.Underline(attributes >> 8),
				foreground: emulator.Color(l.number()), background: emulator.Color(l.number()),
			}
			switch {
			case len(text) == 0:
				g.text = " "
			case text[0] == -1:
				g.text = ""
			}
			shown.rows[y] = append(shown.rows[y], g)
		}
		shown.rows[y] = whole(shown.rows[y])
	}
	return shown
}

// whole leaves out the second columns of wide characters, which have no text. A half
// of which the other one was written over shows as a blank; libvterm keeps it.
func whole(cells []glyph) []glyph {
	var row []glyph
	for x := 0; x < len(cells); x++ {
		g := cells[x]
		wide := emulator.Width([]rune(g.text + "\x00")[0]) == 2
		tail := x+1 < len(cells) && cells[x+1].text == ""
		g.text = strings.NewReplacer("⩽", "≤", "⩾", "≥").Replace(g.text) // of line drawing
		switch {
		case wide && tail:
			x++
		case wide || g.text == "":
			g = glyph{text: " "}
		}
		row = append(row, g)
	}
	return row
}

func (l *libvterm) attributes() emulator.Attributes {
	return emulator.Bold | emulator.Italic | emulator.Blink | emulator.Inverse | emulator.Struck
}

func (l *libvterm) seesErased() bool { return true }
