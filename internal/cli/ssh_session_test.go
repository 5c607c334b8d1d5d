//go:build !unit

package cli

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"banger"
	"banger/internal/hosttest"
	"banger/test/wait"
)

// begin starts a session in the VM dev.
func (u *sshUser) begin(name string, tty bool, command ...string) {
	u.t.Helper()
	_, err := u.Sessions.StartSession(u.t.Context(), "dev", banger.SessionRequest{Name: name, Launch: banger.Launch{
		Command: banger.ByteString(command[0]), Args: banger.ByteStrings(command[1:]), StdinMode: banger.StdinPipe, TTY: tty,
	}})
	if err != nil {
		u.t.Fatal(err)
	}
}

func TestSSHSession_HasItsStreamsAndExitStatus(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	u.StartVM("dev")
	u.begin("a.Job", false, "sh", "-c", `read x; echo "got $x"; echo problem >&2; exit 3`)
	cmd := u.command("ssh", "-T", "+a.Job.dev.banger")
	cmd.Stdin = strings.NewReader("a line\n")
	out, errs, status := run(t, cmd)
	if out != "got a line\n" || errs != "problem\n" || status != 3 {
		t.Errorf("exit status %d, %q, %q", status, out, errs)
	}
	if out, errs, status = u.ssh("+a.Job.dev.banger"); status != 3 {
		t.Errorf("when it has ended: exit status %d, %q, %q", status, out, errs)
	}
}

// Every byte arrives once, while the daemon is replaced and the links are cut.
func TestSSHSession_OutlivesTheDaemon(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	u.StartVM("dev")
	u.begin("count", false, "sh", "-c", `read x; seq 1 20000; read x; seq 20001 40000`)
	cmd := u.command("ssh", "+count.dev.banger")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	got := &buffer{}
	cmd.Stdout, cmd.Stderr = got, t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "output", func() bool { return strings.Contains(got.String(), "20000\n") })
	u.Restart()
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	want, err := exec.CommandContext(t.Context(), "seq", "1", "40000").Output()
	if err != nil || got.String() != string(want) {
		t.Errorf("got %d bytes of %d, or others; %v", len(got.String()), len(want), err)
	}
}

// onTerminal is an ssh on a terminal of its own.
func (u *sshUser) onTerminal(rows, cols uint16, args ...string) (terminal *os.File, shown *buffer, cmd *exec.Cmd) {
	u.t.Helper()
	cmd = u.command("ssh", args...)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: cols})
	if err != nil {
		u.t.Fatal(err)
	}
	shown = &buffer{}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(shown, terminal) }()
	u.t.Cleanup(func() { terminal.Close(); _ = cmd.Process.Kill(); <-done })
	return terminal, shown, cmd
}

func TestSSHSession_IsAScreenThatIsLeftAndPaintedAgain(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	u.StartVM("dev")
	u.begin("shell", true, "sh", "-c", `echo first screen; while read x; do case $x in size) stty size;; end) exit 5;; esac; done`)
	terminal, shown, cmd := u.onTerminal(41, 137, "+shell.dev.banger")
	type_ := func(terminal *os.File, line string) {
		if _, err := io.WriteString(terminal, line); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(shown *buffer, text string) {
		t.Helper()
		wait.For(t, "the text "+text, func() bool { return strings.Contains(shown.String(), text) })
	}
	shows(shown, "first screen")
	type_(terminal, "size\r")
	shows(shown, "41 137")
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 30, Cols: 99}); err != nil {
		t.Fatal(err)
	}
	// The size travels beside the keys, so it may come after the first of them.
	wait.For(t, "the new size", func() bool {
		type_(terminal, "size\r")
		return strings.Contains(shown.String(), "30 99")
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	u.waitForNoHelper()
	if x, err := u.Sessions.GetSession(t.Context(), "dev", "shell"); err != nil || x.Status != banger.StatusRunning {
		t.Fatalf("after the ssh was killed: %s, %v", x.Status, err)
	}
	terminal, shown, cmd = u.onTerminal(41, 137, "+shell.dev.banger")
	shows(shown, "first screen")
	type_(terminal, "\x1c")
	if err := cmd.Wait(); err != nil {
		t.Errorf("detached by a key: %v", err)
	}
	terminal, _, cmd = u.onTerminal(41, 137, "+shell.dev.banger")
	type_(terminal, "end\r")
	exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
	if !ok || exit.ExitCode() != 5 {
		t.Errorf("the session has ended, and ssh with %v", exit)
	}
}

func TestSSHSession_IsNothingElse(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	u.StartVM("dev")
	u.begin("s", false, "sleep", "1234567")
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"+missing.dev.banger", 125, "cannot find session"},
		{"+s.missing.banger", 255, "cannot find vm"},
		{"+.dev.banger", 255, "+SESSION.NAME.banger"},
		{"+s.banger", 255, "+SESSION.NAME.banger"},
		{"+s.dev.banger ls", exitUsage, "unexpected argument"},
		{"-s +s.dev.banger sftp", 255, "subsystem request failed"},
		{"-W 127.0.0.1:1 +s.dev.banger", 255, "administratively prohibited"},
		{"-N -o ExitOnForwardFailure=yes -R 127.0.0.1:0:127.0.0.1:1 +s.dev.banger", 255, "remote port forwarding failed"},
		{"dev.banger +s", 125, "+SESSION.NAME.banger"},
	} {
		_, errs, status := u.ssh(strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("ssh %s: exit status %d, %s", c.args, status, errs)
		}
	}
}
