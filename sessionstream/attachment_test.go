package sessionstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"banger"
)

// server is the far end of an attachment's connections, one after the other.
type server struct {
	t *testing.T
	// serve has one connection, of which the Attach has been read.
	serve func(c *serverConn, attach *Attach)

	connections int
	ended       chan struct{} // closed when the last of them is served no more
}

// serverConn is one connection, which may break after some more bytes.
type serverConn struct {
	net.Conn
	*Reader
	out    *Writer
	number int // 0 for the first
	budget int // bytes that still pass in either direction; below 0: all
}

var errBroken = errors.New("the connection is broken")

func (c *serverConn) spend(n int) (int, error) {
	if c.budget < 0 {
		return n, nil
	}
	if n >= c.budget {
		return c.budget, errBroken
	}
	c.budget -= n
	return n, nil
}

func (c *serverConn) Write(p []byte) (int, error) {
	n, broken := c.spend(len(p))
	n, err := c.Conn.Write(p[:n])
	if broken != nil {
		err = broken
	}
	return n, err
}

// frailReader reads what a connection lets through.
type frailReader struct{ c *serverConn }

func (r frailReader) Read(p []byte) (int, error) {
	n, err := r.c.Conn.Read(p[:1]) // as unkindly as can be
	if err != nil {
		return n, err
	}
	_, err = r.c.spend(n)
	return n, err
}

// bufferedConn does not wait for the far end to read what it writes, as a socket does
// not: a server that answers while it is sent to must not be a deadlock.
type bufferedConn struct {
	net.Conn
	written chan []byte
	closed  chan struct{}
	close   func()
}

func newBufferedConn(c net.Conn) *bufferedConn {
	b := &bufferedConn{Conn: c, written: make(chan []byte, 100), closed: make(chan struct{})}
	b.close = sync.OnceFunc(func() { close(b.closed) })
	go b.run()
	return b
}

func (b *bufferedConn) run() {
	for {
		select {
		case p := <-b.written:
			_, _ = b.Conn.Write(p) // when it fails, so does reading
		case <-b.closed:
			return
		}
	}
}

func (b *bufferedConn) Write(p []byte) (int, error) {
	select {
	case b.written <- bytes.Clone(p):
		return len(p), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *bufferedConn) Close() error {
	b.close()
	return b.Conn.Close()
}

// dial is Config.Dial.
func (s *server) dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	c := &serverConn{Conn: far, number: s.connections, budget: -1}
	c.Reader, c.out = NewReader(frailReader{c}), NewWriter(c)
	s.connections++
	before, ended := s.ended, make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		defer far.Close()
		if before != nil {
			<-before // nothing of the last connection comes in any more
		}
		m, err := c.ReadControl()
		attach, ok := m.(*Attach)
		if err != nil || !ok {
			s.t.Errorf("the client begins with %v, %v", m, err)
			return
		}
		if attach.Resume != (c.number > 0) {
			s.t.Errorf("connection %d begins with %+v", c.number, attach)
		}
		s.serve(c, attach)
	}()
	return newBufferedConn(near), nil
}

func (s *server) open(a Attach) *Attachment {
	s.t.Helper()
	x, err := Open(s.t.Context(), Config{Dial: s.dial, Attach: a})
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

// receiveAll returns the output of both streams, and what ended it.
func receiveAll(a *Attachment) (stdout, stderr string, controls []Control, err error) {
	for {
		m, err := a.Receive()
		if err != nil {
			return stdout, stderr, controls, err
		}
		switch {
		case m.Control != nil:
			controls = append(controls, m.Control)
		case m.Stream == banger.StreamStdout:
			stdout += string(m.Data)
		default:
			stderr += string(m.Data)
		}
	}
}

func TestAttachment_OutputThatBreaksAtAnyByteIsWhole(t *testing.T) {
	var stdout, stderr strings.Builder
	for n := range 30 {
		fmt.Fprintf(&stdout, "line %d\n", n)
		fmt.Fprintf(&stderr, "%d\n", n)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, serve: func(c *serverConn, attach *Attach) {
			at := *attach.From
			if c.out.WriteControl(&Attached{Output: &at}) != nil {
				return
			}
			c.budget = c.number // of the frames
			for at.Stdout < int64(stdout.Len()) || at.Stderr < int64(stderr.Len()) {
				out := stdout.String()[at.Stdout:]
				out = out[:min(len(out), 11)]
				errs := stderr.String()[at.Stderr:]
				errs = errs[:min(len(errs), 3)]
				if out != "" && c.out.WriteData(ChannelStdout, []byte(out)) != nil ||
					errs != "" && c.out.WriteData(ChannelStderr, []byte(errs)) != nil {
					return
				}
				at.Stdout += int64(len(out))
				at.Stderr += int64(len(errs))
			}
			_ = c.out.WriteControl(&Exit{ended})
		}}
		a := s.open(Attach{Role: RoleViewer, AttachID: "a", From: &banger.LogCursor{}})
		out, errs, _, err := receiveAll(a)
		if out != stdout.String() || errs != stderr.String() || !errors.Is(err, io.EOF) {
			t.Errorf("received %q and %q, then %v", out, errs, err)
		}
		if s.connections < 20 {
			t.Errorf("there were %d connections", s.connections)
		}
	})
}

func TestAttachment_InputThatBreaksAtAnyByteIsAcceptedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accepted bytes.Buffer
		eof := false
		s := &server{t: t, serve: func(c *serverConn, attach *Attach) {
			grant := Grant{Offset: int64(accepted.Len()), EOF: eof, WindowBytes: 40, LeaseMS: 1000}
			if c.out.WriteControl(&Attached{Output: &banger.LogCursor{}, Stdin: &grant}) != nil {
				return
			}
			c.budget = c.number
			for !eof {
				h, err := c.Next()
				if err != nil {
					return
				}
				if h.Channel == ChannelStdin {
					data, err := io.ReadAll(c.Reader)
					if err != nil {
						return // a frame is accepted whole or not at all
					}
					accepted.Write(data)
				} else if m, err := c.Control(); err != nil {
					return
				} else if end, ok := m.(*EOF); ok {
					if *end.Offset != int64(accepted.Len()) {
						t.Errorf("the end comes at %d after %d bytes", *end.Offset, accepted.Len())
					}
					eof = true
				}
				if c.out.WriteControl(&StdinAck{Offset: int64(accepted.Len()), EOF: eof}) != nil {
					return
				}
			}
			_ = c.out.WriteControl(&Exit{ended})
		}}
		a := s.open(Attach{Role: RoleWriter, AttachID: "a", From: &banger.LogCursor{}})
		var want strings.Builder
		written := make(chan error, 1)
		for n := range 30 {
			fmt.Fprintf(&want, "line %d\n", n)
		}
		go func() {
			_, err := io.Copy(struct{ io.Writer }{a}, struct{ io.Reader }{strings.NewReader(want.String())})
			written <- errors.Join(err, a.CloseStdin())
		}()
		_, _, _, err := receiveAll(a)
		if !errors.Is(err, io.EOF) || !eof {
			t.Errorf("it ended with %v", err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		if accepted.String() != want.String() {
			t.Errorf("accepted %q", &accepted)
		}
		if s.connections < 20 {
			t.Errorf("there were %d connections", s.connections)
		}
	})
}

// socket calls serve with the far end of a socket, which holds what was sent when that
// end has gone.
func socket(t *testing.T, serve func(r *Reader, w *Writer)) (near *net.UnixConn, gone <-chan struct{}) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer ends[1].Close()
		serve(NewReader(ends[1]), NewWriter(ends[1]))
	}()
	return ends[0], done
}

// lateReader reads nothing before the far end has gone.
type lateReader struct {
	*net.UnixConn
	gone <-chan struct{}
}

func (c lateReader) Read(p []byte) (int, error) {
	<-c.gone
	return c.UnixConn.Read(p)
}

// A session may end of what a client has sent. Its exit has then been sent, and the
// connection closed, while the client still sends.
func TestAttachment_ExitIsReceivedThoughNothingCanBeSentAnyMore(t *testing.T) {
	accept := func(r *Reader, w *Writer) error {
		_, err := r.ReadControl()
		return errors.Join(err, w.WriteControl(&Attached{Output: &banger.LogCursor{}, Stdin: &Grant{WindowBytes: 100, LeaseMS: 1000}}))
	}
	end := func(w *Writer) error {
		return errors.Join(w.WriteData(ChannelStdout, []byte("last")), w.WriteControl(&Exit{ended}))
	}
	write := func(a *Attachment) error {
		_, err := a.Write([]byte("x"))
		return err
	}
	for name, c := range map[string]struct {
		send  func(*Attachment) error
		again bool // it ends only when that is sent once more, over a second connection
	}{
		"a ping":             {(*Attachment).Ping, false},
		"stdin":              {write, false},
		"the end of stdin":   {(*Attachment).CloseStdin, false},
		"stdin sent again":   {write, true},
		"its end sent again": {(*Attachment).CloseStdin, true},
	} {
		t.Run(name, func(t *testing.T) {
			opened := make(chan struct{})
			first, gone := socket(t, func(r *Reader, w *Writer) {
				err := accept(r, w)
				<-opened
				if !c.again {
					err = errors.Join(err, end(w))
				}
				if err != nil {
					t.Error(err)
				}
			})
			connections := []net.Conn{first}
			if c.again {
				second, gone := socket(t, func(r *Reader, w *Writer) {
					if err := errors.Join(accept(r, w), end(w)); err != nil {
						t.Error(err)
					}
				})
				connections = append(connections, lateReader{second, gone})
			}
			a, err := Open(t.Context(), Config{Attach: Attach{Role: RoleWriter, AttachID: "a", From: &banger.LogCursor{}},
				Dial: func(context.Context) (net.Conn, error) {
					if len(connections) == 0 {
						return nil, banger.Errorf(banger.CodeNotFound, "there was an exit to be received")
					}
					conn := connections[0]
					connections = connections[1:]
					return conn, nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			close(opened)
			<-gone
			_ = c.send(a)
			stdout, _, controls, err := receiveAll(a)
			if stdout != "last" || len(controls) == 0 || !errors.Is(err, io.EOF) {
				t.Fatalf("received %q and %v, then %v", stdout, controls, err)
			}
			if _, ok := controls[len(controls)-1].(*Exit); !ok {
				t.Errorf("received %+v at last", controls[len(controls)-1])
			}
		})
	}
}

func TestAttachment_ASizeSetWhileItReconnectsReachesTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size := Window{Rows: 30, Cols: 90}
		var a *Attachment
		s := &server{t: t, serve: func(c *serverConn, _ *Attach) {
			if c.number > 0 {
				a.Resize(size) // behind the Attach, and before there is a connection to send it over
			}
			grant := Grant{WindowBytes: 40, LeaseMS: 1000}
			if c.out.WriteControl(&Attached{Output: &banger.LogCursor{}, Stdin: &grant}) != nil || c.number == 0 {
				return
			}
			_ = c.Conn.SetReadDeadline(time.Now().Add(time.Minute))
			m, err := c.ReadControl()
			if got, ok := m.(*Resize); !ok || got.Window != size {
				t.Errorf("the session is sent %+v, %v", m, err)
			}
			_ = c.out.WriteControl(&Exit{ended})
		}}
		a = s.open(Attach{Role: RoleWriter, AttachID: "a", From: &banger.LogCursor{}, Window: &Window{Rows: 24, Cols: 80}})
		if _, _, _, err := receiveAll(a); !errors.Is(err, io.EOF) {
			t.Errorf("it ends with %v", err)
		}
		<-s.ended
	})
}

func TestAttachment_EndsWhenTheServerBreaksTheFormat(t *testing.T) {
	const viewer, writer = RoleViewer, RoleWriter
	for name, c := range map[string]struct {
		role     Role
		attached Attached
		then     func(w *Writer) error
		want     string
	}{
		"output from elsewhere": {viewer, Attached{Output: &banger.LogCursor{Stdout: 7}}, nil, "does not begin its output"},
		"no output":             {viewer, Attached{}, nil, "does not begin its output"},
		"a writer without stdin": {
			writer, Attached{Output: &banger.LogCursor{}}, nil, "grants no stdin",
		},
		"a gap elsewhere": {viewer, Attached{Output: &banger.LogCursor{}}, func(w *Writer) error {
			return w.WriteControl(&Gap{Stream: banger.StreamStdout, From: 5, To: 9, Reason: "limit"})
		}, "a gap at 5"},
		"stdin from the wrong side": {viewer, Attached{Output: &banger.LogCursor{}}, func(w *Writer) error {
			return w.WriteData(ChannelStdin, []byte("x"))
		}, "channel 1"},
		"a client's control": {viewer, Attached{Output: &banger.LogCursor{}}, func(w *Writer) error {
			return w.WriteControl(&Detach{})
		}, "sent detach"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{t: t, serve: func(conn *serverConn, _ *Attach) {
					if conn.out.WriteControl(&c.attached) == nil && c.then != nil {
						_ = c.then(conn.out)
					}
				}}
				a, err := Open(t.Context(), Config{Dial: s.dial, Attach: Attach{Role: c.role, AttachID: "a", From: &banger.LogCursor{}}})
				if err == nil {
					_, _, _, err = receiveAll(a)
				}
				if refused, ok := errors.AsType[*Error](err); !ok || refused.Code != CodeInvalid || !strings.Contains(err.Error(), c.want) {
					t.Errorf("it ends with %v, want %q", err, c.want)
				}
				if s.connections != 1 {
					t.Errorf("it came back %d times", s.connections-1)
				}
			})
		})
	}
}

func TestAttachment_UnderstandsANewerServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, serve: func(c *serverConn, _ *Attach) {
			for _, control := range []string{
				`{"attached":{"state":{"status":"running","later":[1]},"output":{"stdout":0,"stderr":0},"later":{}}}`,
				`{"later":{"of":"a newer version"}}`,
				`{"exit":{"state":{"status":"exited","exit_code":3,"later":true},"later":null}}`,
			} {
				frame := append(AppendHeader(nil, ChannelControl, len(control)), control...)
				if c.out.WriteFrames(frame) != nil {
					return
				}
			}
		}}
		_, _, controls, err := receiveAll(s.open(Attach{Role: RoleViewer, AttachID: "a", From: &banger.LogCursor{}}))
		if len(controls) != 2 || !errors.Is(err, io.EOF) {
			t.Fatalf("received %v, then %v", controls, err)
		}
		if e, ok := controls[0].(*Error); !ok || e.Code != CodeUnsupported {
			t.Errorf("the unknown control is received as %+v", controls[0])
		}
		if e, ok := controls[1].(*Exit); !ok || e.State.ExitCode == nil || *e.State.ExitCode != 3 {
			t.Errorf("the exit is received as %+v", controls[1])
		}
	})
}
