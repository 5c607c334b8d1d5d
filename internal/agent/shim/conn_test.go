package shim_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/shim"
	"banger/internal/agent/shimclient"
	"banger/internal/process"
	"banger/internal/sessiondir"
	"banger/sessionstream"
	"banger/test/wait"
)

// rawConn is a client that need not behave.
type rawConn struct {
	t   *testing.T
	net *net.UnixConn
	r   *sessionstream.Reader
	w   *sessionstream.Writer
}

func dialRaw(t *testing.T, s *session) *rawConn {
	t.Helper()
	dir, err := os.Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: shim.SocketPath(dir), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &rawConn{t: t, net: c, r: sessionstream.NewReader(c), w: sessionstream.NewWriter(c)}
}

func (c *rawConn) send(m sessionstream.Control) {
	c.t.Helper()
	if err := c.w.WriteControl(m); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawConn) data(p []byte) {
	c.t.Helper()
	if err := c.w.WriteData(sessionstream.ChannelStdin, p); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawConn) receive() sessionstream.Control {
	c.t.Helper()
	m, err := c.r.ReadControl()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// attachWriter becomes the writer and returns what it is granted.
func (c *rawConn) attachWriter(id string) *sessionstream.Grant {
	c.t.Helper()
	c.send(&sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: id, Client: id, NoOutput: true})
	m := c.receive()
	attached, ok := m.(*sessionstream.Attached)
	if !ok {
		c.t.Fatalf("the answer to attach is %+v", m)
	}
	return attached.Stdin
}

// wantAck waits until so much of stdin is acknowledged.
func (c *rawConn) wantAck(offset int64) {
	c.t.Helper()
	for {
		if ack, ok := c.receive().(*sessionstream.StdinAck); ok && ack.Offset == offset {
			return
		}
	}
}

// wantEnd wants nothing more to come.
func (c *rawConn) wantEnd() {
	c.t.Helper()
	if h, err := c.r.Next(); err == nil {
		c.t.Errorf("the connection goes on with %+v", h)
	}
}

// stdinOffset asks the shim, as any client can.
func (s *session) stdinOffset() int64 {
	s.t.Helper()
	conn, err := shimclient.Dial(s.t.Context(), s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	offset := int64(-1)
	_ = conn.Watch(ctx, func(st banger.SessionState) {
		offset = st.StdinOffset
		cancel()
	})
	return offset
}

func (s *session) hasFile(name string) bool {
	_, err := os.Lstat(filepath.Join(s.dir, name))
	return err == nil
}

func TestConn_BadClientsHarmOnlyThemselves(t *testing.T) {
	s := sh(t, "read x; echo got $x", withPipe)
	for name, c := range map[string]struct {
		send []byte
		code sessionstream.ErrorCode // of the answer; empty if there is none
	}{
		"garbage":           {[]byte("GET / HTTP/1.1\r\n\r\n"), sessionstream.CodeInvalid},
		"another version":   {[]byte("bngrss/\x07"), sessionstream.CodeVersion},
		"a huge frame":      {[]byte("bngrss/\x01\x00\xff\xff\xff\xff"), sessionstream.CodeInvalid},
		"no attach":         {frame(`{"ping":{}}`), sessionstream.CodeInvalid},
		"no role":           {frame(`{"attach":{"role":"king"}}`), sessionstream.CodeUnsupported},
		"not for observers": {append(frame(`{"attach":{"role":"observer"}}`), frame(`{"eof":{}}`)[8:]...), sessionstream.CodeInvalid},
		"no id":             {frame(`{"attach":{"role":"viewer"}}`), sessionstream.CodeInvalid},
		"not for writers":   {append(frame(`{"attach":{"role":"writer","attach_id":"a"}}`), frame(`{"stop":{"grace_ms":0}}`)[8:]...), sessionstream.CodeInvalid},
		"not for viewers":   {append(frame(`{"attach":{"role":"viewer","attach_id":"a"}}`), "\x01\x00\x00\x00\x01x"...), sessionstream.CodeInvalid},
		"a wish unknown":    {frame(`{"attach":{"role":"viewer","attach_id":"a","colour":"red"}}`), sessionstream.CodeInvalid},
		"beyond the end":    {frame(`{"attach":{"role":"viewer","attach_id":"a","from":{"stdout":9,"stderr":0}}}`), sessionstream.CodeOffset},
	} {
		t.Run(name, func(t *testing.T) {
			client := dialRaw(t, s)
			if _, err := client.net.Write(c.send); err != nil {
				t.Fatal(err)
			}
			m := client.receive()
			if _, attached := m.(*sessionstream.Attached); attached {
				m = client.receive()
			}
			if e, ok := m.(*sessionstream.Error); !ok || e.Code != c.code {
				t.Errorf("the answer is %+v", m)
			}
			client.wantEnd()
		})
	}
	s.mustSend(nil, "line\n", false)
	s.wait()
	if got := s.stdout(); got != "got line\n" {
		t.Errorf("the command wrote %q", got)
	}
}

// frame is the preamble and one control.
func frame(control string) []byte {
	return fmt.Appendf([]byte("bngrss/\x01"), "\x00\x00\x00\x00%c%s", len(control), control)
}

func TestConn_AnUnknownControlIsAnsweredAndTheConnectionGoesOn(t *testing.T) {
	s := sh(t, "read x", withPipe)
	c := dialRaw(t, s)
	c.send(&sessionstream.Attach{Role: sessionstream.RoleObserver})
	c.receive()
	if _, err := c.net.Write(frame(`{"dance":{}}`)[8:]); err != nil {
		t.Fatal(err)
	}
	if e, ok := c.receive().(*sessionstream.Error); !ok || e.Code != sessionstream.CodeUnsupported {
		t.Errorf("the answer is %+v", e)
	}
	c.send(&sessionstream.Ping{})
	if m, ok := c.receive().(*sessionstream.Pong); !ok {
		t.Errorf("the answer to ping is %+v", m)
	}
}

func TestConn_ClientsThatStallDoNotHoldUpTheEnd(t *testing.T) {
	s := sh(t, "read x; exit 6", withPipe)
	silent := dialRaw(t, s)   // says nothing
	observer := dialRaw(t, s) // reads nothing
	observer.send(&sessionstream.Attach{Role: sessionstream.RoleObserver})
	writer := dialRaw(t, s) // stalls within a frame
	writer.attachWriter("stalls")
	if _, err := writer.net.Write([]byte("\x01\x00\x00\x10\x00abc")); err != nil {
		t.Fatal(err)
	}
	heir := dialRaw(t, s)
	heir.send(&sessionstream.Attach{Role: sessionstream.RoleViewer, AttachID: "heir"})
	heir.receive()
	heir.send(&sessionstream.Takeover{})
	heir.receive()
	heir.data([]byte("\n"))
	if final := s.wait(); final.ExitCode == nil || *final.ExitCode != 6 {
		t.Errorf("ended as %+v", final)
	}
	if _, err := silent.net.Read(make([]byte, 1)); err == nil {
		t.Error("the silent client's connection goes on")
	}
}

func TestConn_NumberIsBounded(t *testing.T) {
	s := sh(t, "read x", withPipe)
	var clients []*rawConn
	for range 256 {
		c := dialRaw(t, s)
		c.send(&sessionstream.Attach{Role: sessionstream.RoleObserver})
		c.receive()
		clients = append(clients, c)
	}
	if e, ok := dialRaw(t, s).receive().(*sessionstream.Error); !ok || e.Code != sessionstream.CodeBusy {
		t.Errorf("one too many gets %+v", e)
	}
	clients[0].net.Close()
	wait.For(t, "a place", func() bool {
		_, err := s.send(nil, "", false)
		return err == nil
	})
}

func TestDial_SaysThatThereIsNoShim(t *testing.T) {
	s := sh(t, "exit 0")
	s.wait()
	if _, err := shimclient.Dial(s.t.Context(), s.dir); !errors.Is(err, shimclient.ErrNoShim) {
		t.Errorf("after the end: %v", err)
	}
	if err := shimclient.Stop(t.Context(), s.dir, banger.StopRequest{Kill: true}); !errors.Is(err, shimclient.ErrNoShim) {
		t.Errorf("a stop after the end: %v", err)
	}
}

func TestShim_ItsDeathEndsTheCommandAndIsNoticed(t *testing.T) {
	t.Run("of its own user", func(t *testing.T) { testShimDeath(t, func(*shim.Launch) {}) })
	if os.Geteuid() == 0 {
		t.Run("of another user", func(t *testing.T) {
			testShimDeath(t, func(l *shim.Launch) { l.UID, l.GID, l.Groups = 12345, 12345, nil })
		})
	}
}

func testShimDeath(t *testing.T, user option) {
	s := sh(t, "echo kept; exec sleep 1000", withPipe, user)
	s.waitForOutput("kept")
	conn, err := shimclient.Dial(s.t.Context(), s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Watch(t.Context(), func(banger.SessionState) { _ = syscall.Kill(s.child.PID(), syscall.SIGKILL) })
	if !errors.Is(err, shimclient.ErrLost) {
		t.Errorf("watching ends with %v", err)
	}
	wait.For(t, "the command's death", func() bool { return !alive(s.state.GuestPID) })
	wait.For(t, "the lock", func() bool {
		lock, err := sessiondir.TryLock(s.dir)
		if err == nil {
			lock.Close()
		}
		return err == nil
	})
	if disk := s.stateOnDisk(); disk.Status != banger.StatusRunning || s.stdout() != "kept\n" {
		t.Errorf("the disk has %+v and %q", disk, s.stdout())
	}
}

func TestShim_EndsTheSessionWhenTheGuestShutsDown(t *testing.T) {
	s := sh(t, `trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 1000 & wait $!; done`)
	s.waitForOutput("ready")
	_ = syscall.Kill(s.child.PID(), syscall.SIGTERM)
	final := s.wait()
	if final.EndedBy != banger.EndedByVMStopped || final.Status != banger.StatusExited || !strings.Contains(s.stdout(), "bye") {
		t.Errorf("ended as %+v with %q", final, s.stdout())
	}
}

func TestLogs_AFullDiskNeitherStopsNorEndsTheCommand(t *testing.T) {
	s := sh(t, `read x; head -c 1000000 /dev/zero; echo done >&2; exit 2`, withPipe)
	// A limit on the size of files is what an ordinary user can have instead.
	limit := unix.Rlimit{Cur: 100_000, Max: 100_000}
	if err := unix.Prlimit(s.child.PID(), unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	s.mustSend(nil, "\n", false)
	final := s.wait()
	if final.ExitCode == nil || *final.ExitCode != 2 || s.log(sessiondir.StderrName) != "done\n" {
		t.Errorf("ended as %+v", final)
	}
	kept := len(s.stdout())
	if kept == 0 || final.StdoutBytes != 1_000_000 || !strings.Contains(final.LastError, fmt.Sprintf("; %d bytes of output are lost", 1_000_000-kept)) {
		t.Errorf("%d bytes are kept; ended as %+v", kept, final)
	}
	chunks, _, _, err := sessiondir.NewReader(os.DirFS(s.dir)).Page(banger.StreamStdout, banger.LogCursor{}, 1<<20)
	if gap := chunks[len(chunks)-1]; err != nil || gap.Gap != int64(1_000_000-kept) || gap.Reason != banger.GapWriteError {
		t.Errorf("the log ends with %+v, %v", gap, err)
	}
}

// Whoever comes with the end of a session is told it, or that there is no shim any more to tell it.
func TestConn_ThatComesWithTheEndIsToldIt(t *testing.T) {
	for range 5 {
		s := sh(t, "exec sleep 1000")
		stat, err := process.ReadStat(s.state.GuestPID)
		if err != nil {
			t.Fatal(err)
		}
		parent := pids(t, stat.Field(4))[0]
		if err := syscall.Kill(parent, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		wait.For(t, "the shim to stop", func() bool { return processState(parent) == "T" })
		err = syscall.Kill(s.state.GuestPID, syscall.SIGKILL)
		wait.For(t, "the end of the command", func() bool { return !alive(s.state.GuestPID) })
		var clients errgroup.Group
		for range 50 {
			c, dialErr := shimclient.Dial(t.Context(), s.dir)
			if err = errors.Join(err, dialErr); err != nil {
				break
			}
			clients.Go(func() error {
				defer c.Close()
				err := c.Watch(t.Context(), func(banger.SessionState) {})
				if errors.Is(err, shimclient.ErrLost) {
					return nil
				}
				return err
			})
		}
		if err := errors.Join(err, syscall.Kill(parent, syscall.SIGCONT), clients.Wait()); err != nil {
			t.Error(err)
		}
		s.waitShim()
	}
}
