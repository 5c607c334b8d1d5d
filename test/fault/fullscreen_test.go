package fault

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/internal/emulator"
	"banger/test/wait"
)

// Full-screen programs look in an attached terminal, character by character and with
// every colour, as in a terminal of their own: while one is attached, and after one
// has left and come back, in the same size and in another.
func TestFault_FullScreenProgramsLookTheSameAfterReattaching(t *testing.T) {
	l := newLoopback(t)
	r := &rig{l, t}
	dir := t.TempDir()
	text := fullScreenText(t, dir)
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
		for _, which := range []string{"session", "reference"} { // the servers of the program tmux
			_ = (&tmux{t, filepath.Join(dir, which+".inner")}).command("kill-server").Run()
		}
	})
	for _, p := range []struct {
		name string
		argv []string
		// steps are keys, and what is seen when they have taken effect: typed while attached,
		// while nobody is, and after the return in another size.
		steps [3]step
		seen  string // when the program has started
	}{
		{
			"vim", []string{"vim", "-u", "NONE", "-i", "NONE", "-N", "-n", "--cmd", "syntax on | set number hlsearch laststatus=2 ruler", text},
			[3]step{{"/line 40\rVjj", "VISUAL"}, {"\x1bGotyped at the end\x1b", ""}, {"ggiat the top \x1b", "at the top"}}, "of a text",
		},
		{
			"less", []string{"less", "-R", "-N", "-M", text},
			[3]step{{"/line 60\r", "line 60"}, {"G", ""}, {"g/line 12\r", "line 12"}}, "of a text",
		},
		{
			"htop", []string{"htop", "-d", "100", "-p", strconv.Itoa(sleeper.Process.Pid)},
			[3]step{{"\x1bOR", "Search:"}, {"\x1b", ""}, {"S", "Display options"}}, "F10",
		},
		{
			"tmux", []string{"tmux", "-S", filepath.Join(dir, "%s.inner"), "-f", filepath.Join(dir, "tmux.conf"), "new-session", "cat"},
			[3]step{{"left\r\x02%", "│"}, {"right\r", "right"}, {"more\r\x02\"", "─"}}, "inner",
		},
	} {
		t.Run(p.name, func(t *testing.T) {
			c := &comparison{rig: r.in(t), environment: l.environment(), server: newTmux(t), dir: dir}
			c.start(p.name, p.argv)
			c.compare(p.seen)
			c.typeKeys(p.steps[0].keys)
			c.compare(p.steps[0].seen)
			c.leave()
			c.typeUnattached(p.steps[1].keys)
			c.attach(80, 24)
			c.compare(p.steps[1].seen)
			c.leave()
			c.attach(101, 31)
			c.compare(p.steps[1].seen)
			c.typeKeys(p.steps[2].keys)
			c.compare(p.steps[2].seen)
			c.leave()
		})
	}
}

// step is what is typed and what is then seen.
type step struct{ keys, seen string }

// fullScreenText writes a file that is worth looking at, and the configurations of
// programs.
func fullScreenText(t *testing.T, dir string) (path string) {
	t.Helper()
	var text strings.Builder
	text.WriteString("package main // of a text\n\n")
	for n := range 100 {
		fmt.Fprintf(&text, "// line %d: äöü 漢字 \x1b[1;3%dmcoloured\x1b[0m %s\n", n, n%8, strings.Repeat("wide ", n%30))
	}
	path = filepath.Join(dir, "text.go")
	for name, data := range map[string]string{
		path: text.String(),
		// No clock, no load, no name of a host.
		filepath.Join(dir, "htoprc"): "htop_version=3.2.2\nconfig_reader_min_version=3\nheader_layout=two_50_50\n" +
			"column_meters_0=Blank\ncolumn_meter_modes_0=2\ncolumn_meters_1=Blank\ncolumn_meter_modes_1=2\n",
		filepath.Join(dir, "tmux.conf"): "set -g status-right inner\nset -g default-command cat\nset -g escape-time 0\nset -g assume-paste-time 0\nset -g automatic-rename off\n",
	} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// tmux is a tmux server: terminals that others have written, and that can be read.
type tmux struct {
	t      *testing.T
	socket string
}

func newTmux(t *testing.T) *tmux {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-")
	if err != nil {
		t.Fatal(err)
	}
	s := &tmux{t, filepath.Join(dir, "tmux")}
	t.Cleanup(func() {
		s.do("kill-server")
		os.RemoveAll(dir)
	})
	return s
}

func (s *tmux) command(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-u", "-S", s.socket, "-f", "/dev/null"}, args...)...) // -u: in the locale C it changes what it prints
}

func (s *tmux) do(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// open opens a terminal in which a command runs; its exit status is then shown.
func (s *tmux) open(name string, cols, rows int, env []string, argv ...string) {
	s.t.Helper()
	create := s.command(append([]string{
		"new-session", "-d", "-s", name, "-x", strconv.Itoa(cols), "-y", strconv.Itoa(rows),
		"sleep 1000", ";", "set", "-g", "status", "off", ";",
		"set", "-g", "default-terminal", "tmux-256color", ";", "set", "-s", "escape-time", "0", ";",
		"respawn-pane", "-k", "-t", name, "env", "-i",
	}, append(append(env, "sh", "-c", `"$@"; printf 'status %d\n' $?; exec sleep 1000`, "sh"), argv...)...)...)
	if out, err := create.CombinedOutput(); err != nil {
		s.t.Fatalf("cannot open a terminal: %v: %s", err, out)
	}
}

// look is what a terminal shows: the screen with its colours, the cursor, and the
// modes that the next key would meet.
func (s *tmux) look(name string) string {
	s.t.Helper()
	size, modes, _ := strings.Cut(s.do("display-message", "-p", "-t", name, "#{pane_width} #{pane_height}\n"+
		"cursor #{cursor_x},#{cursor_y} shown=#{cursor_flag} alternate=#{alternate_on} keypad=#{keypad_cursor_flag}#{keypad_flag} "+
		"insert=#{insert_flag} wrap=#{wrap_flag} origin=#{origin_flag} mouse=#{mouse_any_flag}#{mouse_sgr_flag} "+
		"region=#{scroll_region_upper}-#{scroll_region_lower}"), "\n")
	var cols, rows int
	if _, err := fmt.Sscan(size, &cols, &rows); err != nil {
		s.t.Fatal(err)
	}
	return visible(s.do("capture-pane", "-p", "-e", "-t", name), cols, rows) + modes
}

// visible describes what one sees of a screen: cells that were written and cells
// that were cleared look the same.
func visible(screen string, cols, rows int) string {
	e := emulator.New(rows, cols)
	_, _ = e.Write([]byte(strings.ReplaceAll(strings.TrimSuffix(screen, "\n"), "\n", "\x1b[0m\r\n")))
	const seen = emulator.Inverse | emulator.Struck // where there is no character
	var b strings.Builder
	for y := range rows {
		var row []string
		var style emulator.Style
		for x := range cols {
			cell := e.Cell(y, x)
			if cell.Tail() {
				continue
			}
			is := e.Style(cell)
			if cell.Blank() {
				is.Foreground, is.Attributes = style.Foreground, style.Attributes&^seen|is.Attributes&seen
			}
			text := e.Text(cell)
			if is != style {
				text = fmt.Sprintf("<%x %x %x %x>", is.Foreground, is.Background, is.Underline, is.Attributes) + text
				style = is
			}
			row = append(row, text)
		}
		b.WriteString(strings.TrimRight(strings.Join(row, ""), " ") + "\n")
	}
	return b.String()
}

// comparison is a program that runs twice: in a session with a terminal, and in a
// terminal without banger.
type comparison struct {
	*rig
	environment []string
	server      *tmux
	dir         string
	session     banger.Session
	terminal    string // attached to the session
	returns     int
}

const reference = "reference"

func (c *comparison) start(name string, argv []string) {
	c.t.Helper()
	env := environmentOf(c.t)
	env["TERM"], env["HTOPRC"], env["SHELL"] = "tmux-256color", banger.ByteString(filepath.Join(c.dir, "htoprc")), "/bin/sh"
	run := func(which string) (out []string) {
		for _, arg := range argv {
			out = append(out, strings.ReplaceAll(arg, "%s", which))
		}
		return out
	}
	mine := run("session")
	c.session = c.launch(name, banger.Launch{
		Command: banger.ByteString(mine[0]), Args: banger.ByteStrings(mine[1:]), Env: env, StdinMode: banger.StdinPipe, TTY: true,
	})
	var words []string
	for name, value := range env {
		words = append(words, name+"="+string(value))
	}
	c.server.open(reference, 80, 24, words, run(reference)...)
	c.attach(80, 24)
}

// attach attaches a terminal of a size to the session; the reference gets that size.
func (c *comparison) attach(cols, rows int) {
	c.t.Helper()
	c.returns++
	c.terminal = fmt.Sprintf("terminal%d", c.returns)
	c.server.do("resize-window", "-t", reference, "-x", strconv.Itoa(cols), "-y", strconv.Itoa(rows))
	c.server.open(c.terminal, cols, rows, append(c.environment, "TERM=tmux-256color"),
		filepath.Join(string(bin), "banger"), "session", "attach", "v", string(c.session.ID))
}

// leave detaches: the terminal is then as before.
func (c *comparison) leave() {
	c.t.Helper()
	c.server.do("send-keys", "-t", c.terminal, "C-\\")
	wait.For(c.t, "the terminal to be left", func() bool { return strings.Contains(c.server.look(c.terminal), "status ") })
	left := c.server.look(c.terminal)
	for _, want := range []string{
		"detached from session " + c.session.Name, "status 0", "shown=1 alternate=0 keypad=00 insert=0 wrap=1 origin=0 mouse=00",
	} {
		if !strings.Contains(left, want) {
			c.t.Errorf("the terminal that was left does not show %q but\n%s", want, left)
		}
	}
}

// typeKeys types into both terminals.
func (c *comparison) typeKeys(keys string) {
	c.t.Helper()
	for _, terminal := range []string{reference, c.terminal} {
		c.server.do("send-keys", "-t", terminal, "-l", keys)
	}
}

// typeUnattached types into the reference, and feeds the session the same.
func (c *comparison) typeUnattached(keys string) {
	c.t.Helper()
	c.server.do("send-keys", "-t", reference, "-l", keys)
	request := banger.SendRequest{Data: strings.NewReader(keys)}
	if _, err := c.client().SendSession(c.t.Context(), "v", string(c.session.ID), request); err != nil {
		c.t.Fatal(err)
	}
}

// compare waits until both terminals show the same, with something in it.
func (c *comparison) compare(something string) {
	c.t.Helper()
	var want, got, last string
	var since time.Time
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		want, got = c.server.look(reference), c.server.look(c.terminal)
		if want != last {
			last, since = want, time.Now()
		}
		// The reference must have come to rest, too.
		if want == got && strings.Contains(want, something) && time.Since(since) > 300*time.Millisecond {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Fatalf("%s with %q in it is\n%s\nit differs (-without banger +with it):\n%s", c.session.Name, something, want, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
}
