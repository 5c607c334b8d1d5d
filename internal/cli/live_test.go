package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/internal/paths"
	"banger/test/wait"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// live is a backend whose daemon and guest are real, but for the machine.
type live struct {
	*hosttest.Host
	t *testing.T
}

func newLive(t *testing.T) *live {
	t.Helper()
	l := &live{hosttest.New(t, bin), t}
	l.StartVM("dev")
	return l
}

func (l *live) Services() Services { return reachable{l.Client(), l.Host.Paths}.Services() }

// reachable is a backend whose daemon runs.
type reachable struct {
	*client.Client
	installation paths.Paths
}

func (r reachable) Installation() paths.Paths { return r.installation }

func (r reachable) Services() Services {
	c := r.Client
	return Services{Services: c.Services(), Dialer: c}
}

func (r reachable) Running() Services { return r.Services() }

func (r reachable) WaitStopped(context.Context) error { return nil }

func (r reachable) Serve(context.Context, *os.File) error { return nil }

func (l *live) Installation() paths.Paths { return l.Host.Paths }

func (l *live) Running() Services { return l.Services() }

func (l *live) WaitStopped(context.Context) error { return nil }

func (l *live) Serve(context.Context, *os.File) error { return nil }

// command is one run of the command line.
type command struct {
	t      *testing.T
	cancel context.CancelFunc
	stdin  *os.File // its standard input, or the terminal
	stdout *buffer  // what it printed there
	stderr *buffer
	status chan int
}

// buffer is what was printed so far.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs a command line with a pipe as its standard input.
func (l *live) start(args ...string) *command {
	l.t.Helper()
	in, stdin, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { stdin.Close(); in.Close() })
	c := &command{t: l.t, stdin: stdin, stdout: &buffer{}, stderr: &buffer{}}
	l.run(c, in, c.stdout, args)
	return c
}

// startOnTerminal runs it on a terminal of a size.
func (l *live) startOnTerminal(rows, cols uint16, args ...string) *command {
	l.t.Helper()
	master, slave := openTerminal(l.t, rows, cols)
	c := &command{t: l.t, stdin: master, stdout: &buffer{}, stderr: &buffer{}}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(c.stdout, master) })
	l.t.Cleanup(func() { slave.Close(); master.Close(); reading.Wait() })
	l.run(c, slave, slave, args)
	return c
}

// openTerminal makes a pseudo-terminal. Closing the master ends a read of it, and
// of the slave.
func openTerminal(t *testing.T, rows, cols uint16) (master, slave *os.File) {
	t.Helper()
	blocking, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer blocking.Close()
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "master")
	setSize(t, master, rows, cols)
	return master, slave
}

// setSize sets the size of a terminal. (*os.File).Fd would make it blocking.
func setSize(t *testing.T, f *os.File, rows, cols uint16) {
	t.Helper()
	control(t, f, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
}

// termios returns how a terminal is set.
func termios(t *testing.T, f *os.File) (got unix.Termios) {
	t.Helper()
	control(t, f, func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			got = *mode
		}
		return err
	})
	return got
}

func control(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err == nil {
		if e := raw.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil {
			err = e
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l *live) run(c *command, in io.Reader, out io.Writer, args []string) {
	ctx, cancel := context.WithCancel(l.t.Context())
	c.cancel, c.status = cancel, make(chan int, 1)
	program := CLI{Version: "v1", Backend: l, Stdin: in, Stdout: out, Stderr: c.stderr}
	go func() { c.status <- program.Run(ctx, args) }()
	l.t.Cleanup(func() { cancel(); c.wait() }) // before its terminal is closed
}

// wait returns the exit status.
func (c *command) wait() int {
	c.t.Helper()
	select {
	case status := <-c.status:
		c.status <- status
		return status
	case <-time.After(patience):
		c.t.Fatalf("the command does not end; stdout %.300q, stderr %.300q", c.stdout, c.stderr)
		return 0
	}
}

// until waits until text was printed on stdout.
func (c *command) until(text string) {
	c.t.Helper()
	c.waitFor(fmt.Sprintf("%q", text), func() bool { return strings.Contains(c.stdout.String(), text) })
}

func (c *command) waitFor(what string, is func() bool) {
	c.t.Helper()
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("after %s: stdout %.500q, stderr %.500q", what, c.stdout, c.stderr)
		}
	})
	wait.For(c.t, what, is)
}

// sh starts a session that runs a script.
func (l *live) sh(name, script string, change func(*banger.SessionRequest)) {
	l.t.Helper()
	r := banger.SessionRequest{Name: name, Launch: banger.Launch{
		Command: "sh", Args: banger.ByteStrings([]string{"-c", script}), StdinMode: banger.StdinPipe,
	}}
	if change != nil {
		change(&r)
	}
	x, err := l.Sessions.StartSession(l.t.Context(), "dev", r)
	if err != nil || x.Status.Ended() && x.EndedBy == banger.EndedByLaunch {
		l.t.Fatal(err, x.LaunchMessage)
	}
}

func onTTY(r *banger.SessionRequest) { r.TTY = true }
