package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"banger"
	"banger/client"
	"banger/internal/version"
	"banger/sessionstream"
	"banger/test/wait"
)

// reader is a client in a process of its own: it appends what it receives to
// files, and if a file input is there, feeds the session from it. Killed and
// started again, it continues where its files and the session's stdin stand.
type reader struct {
	r   *rig
	x   banger.Session
	dir string
	// keepsStdin has it feed its file and then nothing more, but not the end.
	keepsStdin bool

	mu  sync.Mutex // guards the fields below
	cmd *exec.Cmd
}

// The files of a reader.
const (
	stdoutFile = "stdout"
	stderrFile = "stderr"
	inputFile  = "input"
	exitFile   = "exit" // written when the exit was received
)

func newReader(r *rig, x banger.Session) *reader {
	c := &reader{r: r, x: x, dir: r.t.TempDir()}
	r.t.Cleanup(c.end)
	return c
}

func (c *reader) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cmd = c.r.role("client", string(c.x.ID), c.dir, strconv.FormatBool(c.keepsStdin))
	if err := c.cmd.Start(); err != nil {
		c.r.t.Error(err)
	}
}

// kill kills the client and starts it again.
func (c *reader) kill() {
	c.end()
	c.start()
}

// end kills the client, if there is one.
func (c *reader) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		checkEnd(c.r.t, c.cmd)
		c.cmd = nil
	}
}

func (c *reader) signal(s os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.r.t.Error(err)
	}
}

// size is how much of a stream has been received.
func (c *reader) size(file string) int64 {
	info, err := os.Stat(filepath.Join(c.dir, file))
	if err != nil {
		return 0
	}
	return info.Size()
}

// wait waits until the client has seen the exit.
func (c *reader) wait() {
	c.r.t.Helper()
	wait.For(c.r.t, "the exit", func() bool { return c.size(exitFile) > 0 })
}

// runClient is the process of a reader.
func runClient(ctx context.Context, socket, session, dir, keepsStdin string) error {
	out, err := os.OpenFile(filepath.Join(dir, stdoutFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	errs, err := os.OpenFile(filepath.Join(dir, stderrFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	input, err := os.Open(filepath.Join(dir, inputFile))
	feeds := err == nil
	at, err := position(out, errs)
	if err != nil {
		return err
	}
	attach := sessionstream.Attach{Role: sessionstream.RoleViewer, From: &at}
	if feeds {
		// Its id is the same after a kill: it need not wait for its own lease.
		attach.Role, attach.AttachID = sessionstream.RoleWriter, session
	}
	a, err := open(ctx, socket, session, attach)
	if err != nil {
		return err
	}
	if feeds {
		go func() {
			_, err := input.Seek(a.Attached().Stdin.Offset, io.SeekStart)
			if err == nil {
				_, err = io.Copy(struct{ io.Writer }{a}, input)
			}
			if err == nil && keepsStdin != "true" {
				err = a.CloseStdin()
			}
			if e, ok := errors.AsType[*sessionstream.Error](err); err != nil && (!ok || e.Code != sessionstream.CodeClosed) {
				fmt.Fprintln(os.Stderr, "cannot feed:", err)
			}
		}()
	}
	for {
		m, err := a.Receive()
		if err != nil {
			return err
		}
		file := out
		if m.Stream == banger.StreamStderr {
			file = errs
		}
		if _, err := file.Write(m.Data); err != nil {
			return err
		}
		if exit, ok := m.Control.(*sessionstream.Exit); ok {
			return os.WriteFile(filepath.Join(dir, exitFile), fmt.Appendf(nil, "%s %d", exit.State.Status, exit.State.StdinOffset), 0o600)
		}
	}
}

// open attaches as soon as there is a daemon.
func open(ctx context.Context, socket, session string, attach sessionstream.Attach) (*sessionstream.Attachment, error) {
	c := client.New(socket, version.String())
	for {
		a, err := c.Attach(ctx, "v", session, attach)
		if banger.CodeOf(err) != banger.CodeUnavailable {
			return a, err
		}
		time.Sleep(time.Duration(rand.N(int64(50 * time.Millisecond))))
	}
}

// position is where the files end.
func position(out, errs *os.File) (at banger.LogCursor, err error) {
	for _, f := range []struct {
		file *os.File
		at   *int64
	}{{out, &at.Stdout}, {errs, &at.Stderr}} {
		info, err := f.file.Stat()
		if err != nil {
			return at, err
		}
		*f.at = info.Size()
	}
	return at, nil
}
