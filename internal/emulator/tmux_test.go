package emulator_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"banger/internal/emulator"
)

// tmux is a server of that name without a client: its panes are terminals to which
// we write, and of which it reports what they show.
type tmux struct {
	t      *testing.T
	socket string
	panes  []pane
}

// pane is one terminal of it.
type pane struct {
	id  string
	tty *os.File
}

const panes = 16

func newTmux(t *testing.T) *tmux {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-")
	if err != nil {
		t.Fatal(err)
	}
	m := &tmux{t: t, socket: filepath.Join(dir, "tmux")}
	t.Cleanup(func() {
		for _, p := range m.panes {
			p.tty.Close()
		}
		m.do([]string{"kill-server"})
		os.RemoveAll(dir)
	})
	m.do([]string{"new-session", "-d", "-x", "80", "-y", "24", "exec sleep 100000"}, []string{"set", "-g", "history-limit", "0"},
		[]string{"set", "-g", "status", "off"})
	for range panes {
		m.do([]string{"new-window", "-d", "exec sleep 100000"})
	}
	for _, line := range strings.Fields(m.do([]string{"list-panes", "-s", "-F", "#{pane_id},#{pane_tty}"}))[1:] {
		id, path, _ := strings.Cut(line, ",")
		tty, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := term.MakeRaw(int(tty.Fd())); err != nil {
			t.Fatal(err)
		}
		m.panes = append(m.panes, pane{id, tty})
	}
	return m
}

// do runs commands of tmux and returns what they print.
func (m *tmux) do(commands ...[]string) string {
	m.t.Helper()
	args := []string{"-u", "-S", m.socket, "-f", "/dev/null"}
	for i, c := range commands {
		if i > 0 {
			args = append(args, ";")
		}
		args = append(args, c...)
	}
	cmd := exec.Command("tmux", args...)
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh") // the user's own may let nobody in
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %q: %v: %s", commands, err, out)
	}
	return string(out)
}

func (p pane) resize(rows, cols int) []string {
	return []string{"resize-window", "-t", p.id, "-x", strconv.Itoa(cols), "-y", strconv.Itoa(rows)}
}

// write writes, and waits until tmux has taken it: it answers a question behind it.
func (p pane) write(t *testing.T, text string) {
	t.Helper()
	if _, err := p.tty.WriteString(text + "\x18\x1b[5n"); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for b := make([]byte, 256); !bytes.HasSuffix(got, []byte("\x1b[0n")); {
		n, err := p.tty.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
}

const resetTmux = "\x18\x1b\\\x1b[?1049l\x1bc\x1b[4l\x1b(B\x1b)B\x0f\x1b[m\x1b[r\x1b[?7h\x1b[H\x1b[2J\x1b[3J\x1b7"

func (m *tmux) show(stories []story) []look {
	var looks []look
	for len(stories) > 0 {
		n := min(len(stories), len(m.panes))
		looks = append(looks, m.showSome(stories[:n])...)
		stories = stories[n:]
	}
	return looks
}

// showSome shows as many stories as there are panes, together step by step.
func (m *tmux) showSome(stories []story) []look {
	var begin [][]string
	steps := make([][]step, len(stories))
	sizes := make([][2]int, len(stories))
	for i, s := range stories {
		m.panes[i].write(m.t, resetTmux)
		begin = append(begin, m.panes[i].resize(s.rows, s.cols))
		sizes[i], steps[i] = [2]int{s.rows, s.cols}, s.joined()
	}
	m.do(begin...)
	for i := range stories {
		m.panes[i].write(m.t, resetTmux)
	}
	for at, more := 0, true; more; at++ {
		more = false
		var resizes [][]string
		for i := range stories {
			if at >= len(steps[i]) {
				continue
			}
			more = true
			if step := steps[i][at]; step.rows != 0 {
				resizes = append(resizes, m.panes[i].resize(step.rows, step.cols))
				sizes[i] = [2]int{step.rows, step.cols}
			} else {
				m.panes[i].write(m.t, step.text)
			}
		}
		if len(resizes) > 0 {
			m.do(resizes...)
		}
	}
	var ask [][]string
	for i := range stories {
		id := m.panes[i].id
		ask = append(ask, []string{"display-message", "-p", "-t", id, "\x01#{cursor_y} #{cursor_x}"}, []string{"capture-pane", "-p", "-e", "-N", "-t", id})
	}
	var looks []look
	for i, text := range strings.Split(m.do(ask...), "\x01")[1:] {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		var l look
		if _, err := fmt.Sscan(lines[0], &l.row, &l.col); err != nil {
			m.t.Fatal(err)
		}
		l.col = min(l.col, sizes[i][1]-1) // it counts a cursor behind the last column as there
		l.rows = readCapture(lines[1:])
		looks = append(looks, l)
	}
	return looks
}

// readCapture reads what capture-pane -e writes: characters and SGR, and SO and SI
// around line drawing.
func readCapture(lines []string) [][]glyph {
	rows := make([][]glyph, len(lines))
	var pen glyph
	drawing := false
	for y, line := range lines {
		for len(line) > 0 {
			if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
				params, after, _ := strings.Cut(rest, "m")
				pen.sgr(params)
				line = after
				continue
			}
			r := []rune(line)[0]
			line = line[len(string(r)):]
			switch {
			case r == 0x0e || r == 0x0f:
				drawing = r == 0x0e
			case len(rows[y]) > 0 && (emulator.Width(r) == 0 || strings.HasSuffix(rows[y][len(rows[y])-1].text, "\u200d")):
				rows[y][len(rows[y])-1].text += string(r)
			default:
				g := pen
				g.text = string(r)
				if drawing && r >= '`' && r <= '~' {
					g.text = string([]rune("◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")[r-'`'])
				}
				rows[y] = append(rows[y], g)
			}
		}
	}
	return rows
}

// sgr carries out what tmux writes for the looks of a cell.
func (g *glyph) sgr(params string) {
	parts := strings.Split(params, ";")
	number := func(i int) int {
		n, _ := strconv.Atoi(parts[i])
		return n
	}
	attributes := map[int]emulator.Attributes{
		1: emulator.Bold, 2: emulator.Faint, 3: emulator.Italic, 5: emulator.Blink, 7: emulator.Inverse,
		8: emulator.Hidden, 9: emulator.Struck, 53: emulator.Overlined,
	}
	for i := 0; i < len(parts); i++ {
		if parts[i] == "5:3" { // it means 53
			g.attributes |= emulator.Overlined
			continue
		}
		if kind, ok := strings.CutPrefix(parts[i], "4:"); ok {
			n, _ := strconv.Atoi(kind)
			g.underline = emulator.Underline(n)
			continue
		}
		switch n := number(i); {
		case n == 0:
			*g = glyph{}
		case n == 4:
			g.underline = emulator.SingleUnderline
		case n == 38 || n == 48 || n == 58:
			c := emulator.Color(1<<24 | number(i+2))
			used := 2
			if number(i+1) == 2 {
				c, used = emulator.Color(2<<24|number(i+2)<<16|number(i+3)<<8|number(i+4)), 4
			}
			switch n {
			case 38:
				g.foreground = c
			case 48:
				g.background = c
			}
			i += used
		case n >= 30 && n <= 37 || n >= 90 && n <= 97:
			g.foreground = emulator.Color(1<<24 | n%10 | n/90*8)
		case n == 39:
			g.foreground = 0
		case n >= 40 && n <= 47 || n >= 100 && n <= 107:
			g.background = emulator.Color(1<<24 | n%10 | n/100*8)
		case n == 49:
			g.background = 0
		default:
			g.attributes |= attributes[n]
		}
	}
}

func (m *tmux) attributes() emulator.Attributes {
	return emulator.Bold | emulator.Faint | emulator.Italic | emulator.Blink | emulator.Inverse | emulator.Hidden | emulator.Struck | emulator.Overlined
}

// seesErased is false: capture-pane ends rows behind what was written.
func (m *tmux) seesErased() bool { return false }
