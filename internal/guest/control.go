package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/creachadair/jrpc2"
	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/guestrpc"
)

// errControlEnded says that the control process has ended while the connection lives.
var errControlEnded = errors.New("the guest's control process has ended")

// control is one run of the guest's control process. It is a banger.Guest.
type control struct {
	ssh     *ssh.Session
	rpc     *jrpc2.Client
	changes *changes
	ended   chan struct{} // closed when the exec channel is
	stderr  chan struct{} // closed when its stderr has been read to the end
}

// openControl starts the control process on a connection.
func openControl(ctx context.Context, client *ssh.Client, log *slog.Logger) (*control, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, fmt.Errorf("cannot open control channel: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	stdin, err1 := session.StdinPipe()
	stdout, err2 := session.StdoutPipe()
	stderr, err3 := session.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		session.Close()
		return nil, fmt.Errorf("cannot open control channel: %w", err)
	}
	if err := session.RequestSubsystem(guestconfig.ControlSubsystem); err != nil {
		session.Close()
		return nil, fmt.Errorf("cannot start the guest's control process: %w", err)
	}
	c := &control{ssh: session, changes: newChanges(), ended: make(chan struct{}), stderr: make(chan struct{})}
	go func() { defer close(c.stderr); logLines(stderr, log) }()
	c.rpc = jrpc2.NewClient(guestrpc.NewChannel(stdout, stdin), &jrpc2.ClientOptions{
		OnNotify: c.changes.notify,
		OnCancel: func(cli *jrpc2.Client, rsp *jrpc2.Response) {
			// The guest need not work for nobody. A failure means that the link
			// is down, which ends the work too.
			_ = cli.Notify(ctx, "rpc.cancel", []json.RawMessage{json.RawMessage(rsp.ID())})
		},
		OnStop: func(*jrpc2.Client, error) { close(c.ended) },
	})
	return c, nil
}

// close ends the control process and waits for what reads from it.
func (c *control) close() {
	c.ssh.Close()
	c.rpc.Close()
	<-c.stderr
}

// greet checks that both ends understand each other and asks for all sessions.
// Changes after the answer to hello are kept for deliver.
func (c *control) greet(ctx context.Context) (banger.GuestHello, []banger.GuestSession, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var hello banger.GuestHello
	if err := c.call(ctx, guestrpc.MethodHello, nil, &hello); err != nil {
		return hello, nil, fmt.Errorf("cannot greet the guest: %w", err)
	}
	if hello.Protocol != banger.GuestProtocol {
		return hello, nil, banger.Errorf(banger.CodeMismatch, "cannot use the guest: its agent speaks protocol %d, this daemon %d",
			hello.Protocol, banger.GuestProtocol).WithHint("restart the VM, which gives it this daemon's agent")
	}
	var sessions []banger.GuestSession
	if err := c.call(ctx, guestrpc.MethodList, nil, &sessions); err != nil {
		return hello, nil, fmt.Errorf("cannot list the guest's sessions: %w", err)
	}
	valid := sessions[:0]
	for _, s := range sessions {
		if checkReport(s) == nil {
			valid = append(valid, s)
		}
	}
	return hello, valid, nil
}

// deliver passes changes to h until the control process or ctx ends.
func (c *control) deliver(ctx context.Context, h banger.GuestHandler) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ended:
			return errControlEnded
		case <-c.changes.wake:
		}
		pending, err := c.changes.take()
		if err != nil {
			return err
		}
		for _, s := range pending {
			if err := h.GuestChanged(ctx, s); err != nil {
				return fmt.Errorf("cannot record session %s: %w", s.ID, err)
			}
		}
	}
}

// call does one request and turns what went wrong into a banger.Error.
func (c *control) call(ctx context.Context, method string, params, result any) error {
	response, err := c.rpc.Call(ctx, method, params)
	if err == nil && result != nil {
		if err := response.UnmarshalResult(result); err != nil {
			return banger.Errorf(banger.CodeInternal, "cannot understand the guest's answer to %s: %w", method, err)
		}
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var refused *jrpc2.Error
	if !errors.As(err, &refused) {
		return banger.Errorf(banger.CodeUnavailable, "cannot reach the guest: %w", err)
	}
	var e banger.Error
	if refused.Code == guestrpc.CodeBanger && json.Unmarshal(refused.Data, &e) == nil && e.Code != "" {
		return &e
	}
	if c.rpc.IsStopped() {
		return banger.Errorf(banger.CodeUnavailable, "cannot reach the guest: %w", err)
	}
	return banger.Errorf(banger.CodeInternal, "cannot %s in the guest: %w", method, err)
}

// Launch implements banger.Guest.
func (c *control) Launch(ctx context.Context, l banger.GuestLaunch) (banger.GuestSession, error) {
	return c.callSession(ctx, guestrpc.MethodLaunch, l.ID, l)
}

// Abandon implements banger.Guest.
func (c *control) Abandon(ctx context.Context, id banger.SessionID) (banger.GuestSession, error) {
	return c.callSession(ctx, guestrpc.MethodAbandon, id, guestrpc.IDParams{ID: id})
}

// callSession does a request whose answer is a report of session id.
func (c *control) callSession(ctx context.Context, method string, id banger.SessionID, params any) (banger.GuestSession, error) {
	var s banger.GuestSession
	if err := c.call(ctx, method, params, &s); err != nil {
		return s, err
	}
	if s.ID != id {
		return s, banger.Errorf(banger.CodeInternal, "cannot %s: the guest answered for another session", method)
	}
	return s, checkReport(s)
}

// Stop implements banger.Guest.
func (c *control) Stop(ctx context.Context, id banger.SessionID, grace time.Duration) error {
	return c.call(ctx, guestrpc.MethodStop, guestrpc.StopParams{ID: id, GraceMS: grace.Milliseconds()}, nil)
}

// WriteStdin implements banger.Guest.
func (c *control) WriteStdin(ctx context.Context, id banger.SessionID, offset *int64, data []byte, eof bool) (banger.SendResult, error) {
	var r guestrpc.WriteStdinResult
	err := c.call(ctx, guestrpc.MethodWriteStdin, guestrpc.WriteStdinParams{ID: id, Offset: offset, Data: data, EOF: eof}, &r)
	if err == nil && r.Error != nil {
		err = r.Error
	}
	return r.SendResult, err
}

// ReadLog implements banger.Guest.
func (c *control) ReadLog(ctx context.Context, r banger.GuestLogRead) (banger.GuestLogPage, error) {
	var page banger.GuestLogPage
	err := c.call(ctx, guestrpc.MethodReadLog, r, &page)
	return page, err
}

// Remove implements banger.Guest.
func (c *control) Remove(ctx context.Context, id banger.SessionID) error {
	return c.call(ctx, guestrpc.MethodRemove, guestrpc.IDParams{ID: id}, nil)
}
