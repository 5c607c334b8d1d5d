// Package shimclient starts shims and talks to them over their session's socket.
package shimclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/localsocket"
	"banger/internal/sessiondir"
	"banger/sessionstream"
)

// ErrNoShim says that nobody serves a session's socket: its shim has not begun,
// has ended, or is lost. The session's lock and state show which.
var ErrNoShim = errors.New("no shim serves the session")

// ErrLost says that a connection ended before the session did: its shim is lost,
// or has given this client up.
var ErrLost = errors.New("the connection to the shim is lost")

// Conn is a connection to a shim. One of its methods may be called, once.
type Conn struct {
	net    *net.UnixConn
	reader *sessionstream.Reader
	writer *sessionstream.Writer
}

// Dial connects to the shim of the session whose directory is dir. If there is
// none, the error is ErrNoShim.
func Dial(ctx context.Context, dir string) (*Conn, error) {
	conn, err := Connect(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &Conn{net: conn, reader: sessionstream.NewReader(conn), writer: sessionstream.NewWriter(conn)}, nil
}

// Connect is Dial for whoever speaks to the shim itself.
func Connect(ctx context.Context, dir string) (*net.UnixConn, error) {
	conn, err := localsocket.Dial(ctx, filepath.Join(dir, sessiondir.SocketName))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, fmt.Errorf("cannot reach shim: %w: %w", ErrNoShim, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach shim: %w", err)
	}
	return conn, nil
}

// Close ends the connection, and with it a method that runs.
func (c *Conn) Close() error { return c.net.Close() }

// Watch calls fn with the state as it is and after every change, the final one
// included, after which it returns nil. If the shim goes before that, the error
// is ErrLost; then the state on the disk is what is known.
func (c *Conn) Watch(ctx context.Context, fn func(banger.SessionState)) error {
	defer c.endWith(ctx)()
	return c.observe(ctx, "watch session", nil, func(m sessionstream.Control) (done bool) {
		switch m := m.(type) {
		case *sessionstream.Attached:
			fn(m.State)
		case *sessionstream.State:
			fn(m.State)
		case *sessionstream.Exit:
			fn(m.State)
			return true
		}
		return false
	})
}

// Stop begins to end the session whose directory is dir, and returns when that has
// taken effect: SIGTERM is sent, or everything killed. For a session
// that has just ended it does nothing.
func Stop(ctx context.Context, dir string, r banger.StopRequest) error {
	if err := r.Validate(); err != nil {
		return err
	}
	// Rounded up: a grace below a millisecond is one.
	ms := (r.WithDefaults().Grace + time.Millisecond - 1) / time.Millisecond
	_, err := order(ctx, dir, "stop session", &sessionstream.Stop{GraceMS: new(int64(ms)), By: r.By}, &sessionstream.Ping{})
	return err
}

// Signal sends a signal to the session whose directory is dir, and returns when that
// is done. If the command had ended before, the error is CodeState.
func Signal(ctx context.Context, dir string, s guestapi.GuestSignal) error {
	to := sessionstream.ToProcess
	if s.All {
		to = sessionstream.ToAll
	}
	last, err := order(ctx, dir, "signal session", &sessionstream.Signal{Signal: s.Signal, To: to, ID: s.ID})
	if _, ended := last.(*sessionstream.Exit); ended && err == nil {
		return banger.Errorf(banger.CodeState, "cannot signal session: it has ended")
	}
	return err
}

// Inspect returns the state of the session whose directory is dir as it is now.
func Inspect(ctx context.Context, dir string) (state banger.SessionState, err error) {
	c, err := Dial(ctx, dir)
	if err != nil {
		return state, err
	}
	defer c.Close()
	defer c.endWith(ctx)()
	err = c.observe(ctx, "inspect session", nil, func(m sessionstream.Control) (done bool) {
		attached, ok := m.(*sessionstream.Attached)
		if ok {
			state = attached.State
		}
		return ok
	})
	return state, err
}

// order sends orders, and returns what says that the last of them has taken effect,
// or that the session has ended.
func order(ctx context.Context, dir, purpose string, orders ...sessionstream.Control) (last sessionstream.Control, err error) {
	c, err := Dial(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer c.endWith(ctx)()
	err = c.observe(ctx, purpose, orders, func(m sessionstream.Control) (done bool) {
		last = m
		switch m.(type) {
		case *sessionstream.Pong, *sessionstream.Signalled, *sessionstream.Exit:
			return true
		}
		return false
	})
	return last, err
}

// observe attaches as an observer, sends orders, and hands every message to fn
// until that is done. purpose is for errors.
func (c *Conn) observe(ctx context.Context, purpose string, orders []sessionstream.Control, fn func(sessionstream.Control) (done bool)) error {
	_ = c.writer.WriteControl(&sessionstream.Attach{Role: sessionstream.RoleObserver}) // the reason for a failure may be there to be read
	for {
		m, err := c.reader.ReadControl()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("cannot %s: %w", purpose, context.Cause(ctx))
		case err != nil:
			return fmt.Errorf("cannot %s: %w: %w", purpose, ErrLost, err)
		}
		switch m := m.(type) {
		case *sessionstream.Error:
			return refusal(purpose, m)
		case *sessionstream.Attached:
			if err := c.order(purpose, orders, m.Revision); err != nil {
				return err
			}
		}
		if fn(m) {
			return nil
		}
	}
}

// order sends orders to a shim, in the form that its build knows.
func (c *Conn) order(purpose string, orders []sessionstream.Control, revision int) error {
	for _, m := range orders {
		switch order := m.(type) {
		case *sessionstream.Stop:
			if revision < 2 {
				m = &sessionstream.Stop{GraceMS: order.GraceMS}
			}
		case *sessionstream.Signal:
			if revision < 2 {
				return banger.Errorf(banger.CodeMismatch, "cannot %s: its shim is of an older build, which accepts signals from attachments only", purpose).
					WithHint("attach to it, or stop it")
			}
		}
		if c.writer.WriteControl(m) != nil {
			return nil // the reason may be there to be read
		}
	}
	return nil
}

// endWith makes the connection's reads and writes fail when ctx ends. The
// function that it returns undoes that.
func (c *Conn) endWith(ctx context.Context) (undo func() bool) {
	return context.AfterFunc(ctx, func() { c.net.SetDeadline(time.Now()) })
}

// refusal turns the shim's error into one of the domain.
func refusal(purpose string, e *sessionstream.Error) error {
	code := banger.CodeInternal // we sent what we must not
	switch e.Code {
	case sessionstream.CodeOffset, sessionstream.CodeClosed, sessionstream.CodeEnded:
		code = banger.CodeState
	case sessionstream.CodeBusy:
		code = banger.CodeUnavailable
	case sessionstream.CodeVersion, sessionstream.CodeUnsupported:
		code = banger.CodeMismatch
	}
	return banger.Errorf(code, "cannot %s: %w", purpose, e)
}
