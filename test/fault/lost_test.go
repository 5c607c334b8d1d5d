package fault

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"banger"
	"banger/test/wait"
)

// attachCommand is a `banger session attach` with a pipe for stdin.
type attachCommand struct {
	*exec.Cmd
	stdin  io.WriteCloser
	output string // the file that its stdout goes to
	errs   bytes.Buffer
}

func attachByCommand(t *testing.T, l *loopback, x banger.Session, flags ...string) *attachCommand {
	t.Helper()
	output := filepath.Join(t.TempDir(), stdoutFile)
	out, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := &attachCommand{output: output}
	c.Cmd = exec.CommandContext(t.Context(), filepath.Join(string(bin), "banger"), append([]string{"session", "attach", "v", string(x.ID)}, flags...)...)
	c.Env, c.Stdout, c.Stderr = l.environment(), out, &c.errs
	if c.stdin, err = c.StdinPipe(); err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *attachCommand) types(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c.stdin, text); err != nil {
		t.Fatal(err)
	}
}

func (c *attachCommand) waitOutput(t *testing.T, want string) {
	t.Helper()
	wait.For(t, "output "+want, func() bool {
		got, err := os.ReadFile(c.output)
		return err == nil && string(got) == want
	})
}

// An attach is stopped, its daemon dies, and somebody takes stdin over through the next
// one: when it continues it is told by whom, as with a daemon.
func TestFault_AttachThatLostStdinWithItsDaemonIsToldByWhom(t *testing.T) {
	t.Parallel()
	l := newLoopback(t)
	r := &rig{l, t}
	x := r.start("cat", nil, "cat")
	first := attachByCommand(t, l, x)
	first.types(t, "of the first\n")
	first.waitOutput(t, "of the first\n")
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.killDaemon()
	second := attachByCommand(t, l, x, "--takeover", "--eof")
	second.types(t, "of the second\n")
	second.waitOutput(t, "of the second\n")
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil || !strings.Contains(first.errs.String(), "stdin was taken over by") {
		t.Errorf("the first attach ends with %v: %s", err, &first.errs)
	}
	second.types(t, "the last\n")
	second.stdin.Close()
	if err := second.Wait(); err != nil {
		t.Errorf("the second attach: %v: %s", err, &second.errs)
	}
	second.waitOutput(t, "of the second\nthe last\n")
}
