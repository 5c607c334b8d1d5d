//go:build !unit

package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// setAndTakenBack is what a program sets in the terminal that it believes to have, what
// sets it for a client that attaches later, and what takes it back from one that leaves.
var setAndTakenBack = []struct{ name, set, again, back string }{
	{"kitty's keyboard", `\033[>1u`, "\x1b[>1u", "\x1b[<1u"},
	{"modifyOtherKeys", `\033[>4;2m`, "\x1b[>4;2m", "\x1b[>4m"},
	{"cursor shape", `\033[5 q`, "\x1b[5 q", "\x1b[0 q"},
	{"cursor colour", `\033]12;red\007`, "\x1b]12;red\x1b\\", "\x1b]112\x1b\\"},
	{"title", `\033]2;mine\007`, "\x1b[22;0t\x1b]2;mine\x1b\\", "\x1b[23;0t"},
	{"pointer", `\033]22;wait\007`, "\x1b]22;wait\x1b\\", "\x1b]22;\x1b\\"},
	{"insert mode", `\033[4h`, "\x1b[4h", "\x1b[4l"},
	{"line drawing", `\033(0`, "\x1b(0", "\x1b(B"},
	{"synchronized output", `\033[?2026h`, "", "\x1b[?2026l"},
	{"resize reports", `\033[?2048h`, "\x1b[?2048h", "\x1b[?2048l"},
}

func TestAttach_WhateverTheSessionHasSetIsSetAgainAndTakenBack(t *testing.T) {
	l := newLive(t)
	var script strings.Builder
	for _, s := range setAndTakenBack {
		script.WriteString(s.set)
	}
	l.sh("sets", "stty raw -echo; dd bs=1 count=1 2>/dev/null; printf '"+script.String()+"set'; exec cat >/dev/null", onTTY)
	var first *command
	takenBack := func(c *command) {
		t.Helper()
		if status := c.wait(); status != 0 {
			t.Errorf("exit status %d, %s", status, c.stderr)
		}
		c.waitFor("what takes all back", func() bool { return strings.Contains(c.stdout.String(), "\x1b]22;\x1b\\") })
		for _, s := range setAndTakenBack {
			if wasSet := s.again != "" || c == first; wasSet && !strings.Contains(c.stdout.String(), s.back) {
				t.Errorf("%s is left on: %q", s.name, c.stdout)
			}
		}
	}
	first = l.startOnTerminal(24, 80, "session", "attach", "dev", "sets")
	c := first
	c.waitFor("the attachment", func() bool { return termios(t, c.stdin).Lflag&unix.ICANON == 0 })
	fmt.Fprint(c.stdin, "x")
	c.until("set")
	if got := c.stdout.String(); !strings.Contains(got, "\x1b[22;0t\x1b]2;mine\x07") {
		t.Errorf("the terminal does not keep its title: %q", got)
	}
	fmt.Fprint(c.stdin, "\x1b[92;5u") // ctrl-\ as kitty's protocol has it
	takenBack(c)

	again := l.startOnTerminal(24, 80, "session", "attach", "dev", "sets")
	again.until("\x1b(0")
	for _, s := range setAndTakenBack {
		if !strings.Contains(again.stdout.String(), s.again) {
			t.Errorf("%s is not set again: %q", s.name, again.stdout)
		}
	}
	if got := again.stdout.String(); strings.Contains(got, "\x1b[?2026h") {
		t.Errorf("output waits for the end of a frame: %q", got)
	}
	fmt.Fprint(again.stdin, "\x1b[27;5;92~") // as modifyOtherKeys has it
	takenBack(again)
}

func TestAttach_AViewerCanLeaveAndTypesNothing(t *testing.T) {
	l := newLive(t)
	l.sh("cat", "stty raw -echo; printf ready; exec cat", onTTY)
	l.start("session", "attach", "dev", "cat", "--view", "--from", "start").until("ready")
	c := l.startOnTerminal(24, 80, "session", "attach", "dev", "cat", "--view")
	c.until("ready")
	fmt.Fprint(c.stdin, "typed\x1c")
	if status := c.wait(); status != 0 {
		t.Errorf("exit status %d, %s", status, c.stderr)
	}
	w := l.start("session", "attach", "dev", "cat", "--from", "start")
	fmt.Fprint(w.stdin, "x")
	w.until("readyx")
}

func TestAttach_BehindAPipeTheKeysAreTheSessions(t *testing.T) {
	l := newLive(t)
	l.sh("shell", `trap 'echo caught' INT; echo ready; while :; do read line && echo "got $line"; done`, onTTY)
	master, slave := openTerminal(t, 24, 80)
	t.Cleanup(func() { slave.Close(); master.Close() })
	c := &command{t: t, stdin: master, stdout: &buffer{}, stderr: &buffer{}}
	l.run(c, slave, c.stdout, []string{"session", "attach", "dev", "shell", "--from", "start"})
	c.until("ready")
	if got := termios(t, master); got.Lflag&(unix.ICANON|unix.ISIG|unix.ECHO) != 0 {
		t.Error("the terminal is not raw")
	}
	fmt.Fprint(c.stdin, "\x03")
	c.until("caught")
	fmt.Fprint(c.stdin, "\x1c")
	if status := c.wait(); status != 0 || !strings.Contains(c.stderr.String(), "detached") {
		t.Errorf("exit status %d, %s", status, c.stderr)
	}
	if got := termios(t, master); got.Lflag&unix.ICANON == 0 || got.Lflag&unix.ECHO == 0 {
		t.Error("the terminal is raw still")
	}
}

func TestAttach_StoppedItGivesTheTerminalBackAndContinuedItPaintsAgain(t *testing.T) {
	l := newLive(t)
	l.sh("shell", `stty raw -echo; printf '\033[>1uready'; exec cat`, onTTY)
	l.start("session", "attach", "dev", "shell", "--view", "--from", "start").until("ready")
	c, cmd := l.startProcessOnTerminal("session", "attach", "dev", "shell")
	painted := func() bool {
		return strings.Count(c.stdout.String(), "ready") == 1 && strings.Contains(c.stdout.String(), "\x1b[>1u")
	}
	c.waitFor("the screen", painted)
	shown := len(c.stdout.String())
	c.stop(cmd)
	if got := termios(t, c.stdin); got.Lflag&unix.ICANON == 0 || got.Lflag&unix.ECHO == 0 {
		t.Error("while it is stopped, the terminal is raw")
	}
	c.waitFor("what takes the keyboard back", func() bool { return strings.Contains(c.stdout.String()[shown:], "\x1b[<1u") })
	_ = unix.Kill(cmd.Process.Pid, unix.SIGCONT)
	c.waitFor("the screen once more", func() bool {
		again := c.stdout.String()[shown:]
		return strings.Contains(again, "ready") && strings.Contains(again, "\x1b[>1u")
	})
	fmt.Fprint(c.stdin, "typed")
	c.until("typed")
	if got := termios(t, c.stdin); got.Lflag&unix.ICANON != 0 {
		t.Error("continued, the terminal is not raw")
	}
	fmt.Fprint(c.stdin, "\x1b[92;5u")
	if err := cmd.Wait(); err != nil || !strings.Contains(c.stderr.String(), "detached") {
		t.Errorf("%v; %s", err, c.stderr)
	}
}

// startProcessOnTerminal is startOnTerminal with a process of its own, which can be stopped.
func (l *live) startProcessOnTerminal(args ...string) (*command, *exec.Cmd) {
	l.t.Helper()
	return l.startProcessBefore(nil, args...)
}

// startProcessBefore has such a process write to a pipe, if out is one.
func (l *live) startProcessBefore(out *os.File, args ...string) (*command, *exec.Cmd) {
	l.t.Helper()
	master, slave := openTerminal(l.t, 24, 80)
	c := showing(l.t, master, slave)
	self, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.CommandContext(l.t.Context(), self, args...)
	cmd.Env = append(os.Environ(), runAsCLI+"="+l.Paths.Socket())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, c.stderr
	if out != nil {
		cmd.Stdout = out
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // not orphaned, so it can be stopped
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return c, cmd
}

// stop has the process of a command stop, as a shell does, and waits until it has.
func (c *command) stop(cmd *exec.Cmd) {
	c.t.Helper()
	_ = unix.Kill(cmd.Process.Pid, unix.SIGTSTP)
	c.waitFor("the process to stop", func() bool {
		var status unix.WaitStatus
		pid, err := unix.Wait4(cmd.Process.Pid, &status, unix.WUNTRACED|unix.WNOHANG, nil)
		if err != nil || pid != 0 && !status.Stopped() {
			c.t.Fatalf("it is not stopped: %v, %v; %s", status, err, c.stderr)
		}
		return pid != 0
	})
}

func TestAttach_KeysTypedWhileItIsStoppedAreTheSessionsWhenItContinues(t *testing.T) {
	l := newLive(t)
	l.sh("shell", `stty raw -echo; printf ready; exec cat`, onTTY)
	c, cmd := l.startProcessOnTerminal("session", "attach", "dev", "shell")
	c.until("ready")
	words := []string{"one\n", "two\n", "three\n", "four\n"}
	for _, typed := range words {
		c.stop(cmd)
		fmt.Fprint(c.stdin, typed) // as behind fg, before it has attached again
		_ = unix.Kill(cmd.Process.Pid, unix.SIGCONT)
		said := l.start("session", "wait", "dev", "shell", "--match", strings.TrimSpace(typed), "--timeout", patience.String())
		if status := said.wait(); status != 0 { // the terminal itself may show it, too
			t.Fatalf("it has not read %q: %s", typed, said.stderr)
		}
		c.waitFor("the terminal to be raw", func() bool { return termios(t, c.stdin).Lflag&unix.ICANON == 0 })
	}
	fmt.Fprint(c.stdin, "\x1c")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v; %s", err, c.stderr)
	}
	got := l.start("session", "logs", "dev", "shell", "--raw")
	if got.wait(); got.stdout.String() != "ready"+strings.Join(words, "") {
		t.Errorf("the session has read %q", got.stdout)
	}
}

func TestAttach_StoppedItSaysWhatInputMayBeLost(t *testing.T) {
	l := newLive(t)
	l.sh("deaf", "stty raw -echo; printf ready; exec sleep 1000", onTTY)
	c, cmd := l.startProcessOnTerminal("session", "attach", "dev", "deaf")
	c.until("ready")
	if _, err := c.stdin.Write(bytes.Repeat([]byte("x"), 200_000)); err != nil { // the session's terminal takes far less
		t.Fatal(err)
	}
	c.stop(cmd)
	lost := regexp.MustCompile(`the last [0-9]+ bytes of input may not have reached it`)
	c.waitFor("the warning", func() bool { return lost.MatchString(c.stderr.String()) }) // a pipe is between us
	_ = unix.Kill(cmd.Process.Pid, unix.SIGCONT)
	c.until("ready")
}

func TestAttach_BehindAPipeThatIsClosedTheTerminalIsGivenBack(t *testing.T) {
	l := newLive(t)
	l.sh("talks", `stty raw -echo; printf ready; while :; do dd bs=1 count=1 2>/dev/null; done`, onTTY)
	in, out, err := os.Pipe() // as of attach | head
	if err != nil {
		t.Fatal(err)
	}
	c, cmd := l.startProcessBefore(out, "session", "attach", "dev", "talks", "--from", "start")
	out.Close()
	if _, err := io.ReadFull(in, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	before := termios(t, c.stdin)
	in.Close()
	fmt.Fprint(c.stdin, "x")
	_ = cmd.Wait() // the status is what it has
	if got := termios(t, c.stdin); before.Lflag&unix.ICANON != 0 || got.Lflag&unix.ICANON == 0 || got.Lflag&unix.ECHO == 0 {
		t.Error("the terminal is raw still")
	}
	if status := cmd.ProcessState.ExitCode(); status != 128+int(syscall.SIGPIPE) || !strings.Contains(c.stderr.String(), "detached") {
		t.Errorf("exit status %d; %s", status, c.stderr)
	}
}
