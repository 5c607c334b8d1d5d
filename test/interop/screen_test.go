//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger/test/wait"
)

// A full-screen program shows after a return, in a terminal of another process, what it showed
// before, cell by cell and with its colours; and it takes the keys that are typed then.
func TestInterop_FullScreenProgramsAreAsTheyWereLeft(t *testing.T) {
	p := newPlace(t)
	dir := sharedDir(t)
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("a line of the text äöü 漢字\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(text, 0o666); err != nil { // another user's programs change it
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, of  string // the program, and its package
		argv      []string
		seen      string // when it has started
		keys, new string // what is typed after the return, and then seen
	}{
		{"emacs", "emacs-nox", []string{"emacs", "-nw", "-Q", text}, "a line of the text", "typed in emacs", "typed in emacs"},
		{"neovim", "neovim", []string{"nvim", "-u", "NONE", "-i", "NONE", "-n", text}, "a line of the text", "otyped in neovim", "typed in neovim"},
		{"nano", "nano", []string{"nano", "-I", text}, "a line of the text", "typed in nano", "typed in nano"},
		{"mc", "mc", []string{"mc", "-d", "-x", dir, "/"}, "text.txt", "echo typed in mc", "typed in mc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tried(t, c.name, debian(t, c.of), "full screen in a session with a terminal, left and attached again by another terminal (tmux "+debian(t, "tmux")+")")
			p := &place{p.Installation, t, p.server}
			p.start(c.name, []string{"--tty", "--env", "TERM=tmux-256color", "--env", "TMPDIR=" + p.server.Home}, c.argv...)
			screen := newScreen(t, p)
			screen.open("first", c.name)
			screen.shows("first", c.seen)
			before := screen.atRest("first")
			screen.keys("first", "C-\\")
			screen.shows("first", "detached from session")
			screen.open("second", c.name)
			screen.shows("second", c.seen)
			wait.For(t, "the screen that was left", func() bool { return screen.look("second") == before })
			screen.tmux("send-keys", "-t", "second", "-l", c.keys)
			screen.shows("second", c.new)
			p.MustRun(t, "session", "kill", "v", c.name)
		})
	}
}

// screens are the terminals of a private tmux.
type screens struct {
	p      *place
	socket string
}

func newScreen(t *testing.T, p *place) *screens {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-")
	if err != nil {
		t.Fatal(err)
	}
	s := &screens{p, filepath.Join(dir, "tmux")}
	t.Cleanup(func() {
		s.tmux("kill-server")
		os.RemoveAll(dir)
	})
	return s
}

func (s *screens) tmux(args ...string) string {
	s.p.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-u", "-S", s.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = s.p.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.p.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// open attaches a terminal to a session.
func (s *screens) open(terminal, session string) {
	s.p.t.Helper()
	s.tmux("new-session", "-d", "-s", terminal, "-x", "80", "-y", "24", "-e", "TERM=tmux-256color",
		filepath.Join(string(bin), "banger")+" session attach v "+session+"; exec sleep 1000", ";", "set", "-g", "status", "off")
}

func (s *screens) keys(terminal, key string) {
	s.p.t.Helper()
	s.tmux("send-keys", "-t", terminal, key)
}

// look is what a terminal shows: characters, colours, and the cursor.
func (s *screens) look(terminal string) string {
	s.p.t.Helper()
	return s.tmux("capture-pane", "-p", "-e", "-t", terminal) + s.tmux("display-message", "-p", "-t", terminal, "#{cursor_x},#{cursor_y} #{alternate_on}")
}

func (s *screens) shows(terminal, text string) {
	s.p.t.Helper()
	var seen string
	defer func() {
		if s.p.t.Failed() {
			s.p.t.Logf("the terminal shows\n%s", seen)
		}
	}()
	wait.For(s.p.t, "a terminal with "+text, func() bool {
		seen = s.look(terminal)
		return strings.Contains(seen, text)
	})
}

// atRest is what a terminal shows when the program has painted all: a hundred looks, one after
// the other, see the same.
func (s *screens) atRest(terminal string) string {
	s.p.t.Helper()
	last, same := s.look(terminal), 0
	wait.For(s.p.t, "a terminal at rest", func() bool {
		if now := s.look(terminal); now != last {
			last, same = now, 0
		}
		same++
		return same > 100
	})
	return last
}
