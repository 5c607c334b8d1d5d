package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"time"

	"github.com/creachadair/jrpc2"
	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/guestconfig"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
	"banger/internal/sshhost"
	"banger/internal/vmm"
)

// errControlEnded says that the control process has ended while the connection lives.
var errControlEnded = errors.New("the guest's control process has ended")

// errNoGreeting says why a connection was given up.
var errNoGreeting = fmt.Errorf("the guest's control process has not answered for %s", handshakeTimeout)

// control is one run of the guest's control process. It is a guestapi.Guest.
type control struct {
	caller
	client *connection
	ssh    *ssh.Session
	host   *hostSockets  // nil: a guest of ours
	stderr chan struct{} // closed when its stderr has been read to the end
}

// openControl starts the control process on a connection, which is closed if ctx
// ends before that is done. commands are nil for a guest of ours.
func (k *link) openControl(ctx context.Context, client *connection, commands *vmm.AgentCommands) (*control, error) {
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	session, err := opened(ctx, client, func() (*ssh.Session, error) { return sshhost.NewSession(ctx, client.Client) })
	if err != nil {
		return nil, fmt.Errorf("cannot open control channel: %w", err)
	}
	stdin, err1 := session.StdinPipe()
	stdout, err2 := session.StdoutPipe()
	stderr, err3 := session.StderrPipe()
	err = errors.Join(err1, err2, err3)
	out := stdout
	switch {
	case err != nil:
	case commands == nil:
		err = session.RequestSubsystem(guestconfig.ControlSubsystem)
	default:
		if err = session.Start(commands.Control); err == nil {
			_, err = io.WriteString(stdin, sshhost.Beginning(commands.Announce))
		}
		if err == nil {
			out, err = sshhost.BehindAnnouncement(stdout, commands.Announce)
		}
	}
	if err != nil {
		session.Close()
		return nil, fmt.Errorf("cannot start the guest's control process: %w", err)
	}
	c := &control{
		caller: caller{turn: k.turns, changes: newChanges(k.budget), ended: make(chan struct{})},
		client: client, ssh: session, stderr: make(chan struct{}),
	}
	if host, ok := k.access.Machine.(Host); ok {
		c.host = &hostSockets{client: client, host: host, commands: commands}
	}
	go func() { defer close(c.stderr); k.said.pass(stderr) }()
	c.startRPC(context.WithoutCancel(ctx), guestrpc.NewHostChannel(out, stdin))
	return c, nil
}

// close ends the control process and waits for what reads from it. A guest that
// does not close its end loses the connection.
func (c *control) close() {
	overdue := time.AfterFunc(closeTimeout, func() { c.client.Close() })
	defer overdue.Stop()
	c.ssh.Close()
	c.rpc.Close()
	<-c.stderr
	<-c.outbox.done
	c.outbox.parsed()
}

// Launch implements guestapi.Guest.
func (c *control) Launch(ctx context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
	if l.LoginShell && !c.loginShells {
		return guestapi.GuestSession{}, banger.Errorf(banger.CodeMismatch, "cannot start session: the agent in the guest is of an older build, which knows no login shells; "+
			"start a shell by its name instead, or restart the VM, which gives it this build's agent")
	}
	return c.callSession(ctx, guestrpc.MethodLaunch, l.ID, l)
}

// Abandon implements guestapi.Guest.
func (c *control) Abandon(ctx context.Context, id banger.SessionID) (guestapi.GuestSession, error) {
	return c.callSession(ctx, guestrpc.MethodAbandon, id, guestrpc.IDParams{ID: id})
}

// callSession does a request whose answer is a report of session id.
func (c *control) callSession(ctx context.Context, method string, id banger.SessionID, params any) (guestapi.GuestSession, error) {
	c.changes.expect(id) // before the request: a change may come before the answer
	data, err := c.ask(ctx, method, params)
	if err != nil {
		return guestapi.GuestSession{}, err
	}
	s, err := parseReport(data)
	if err == nil && s.ID != id {
		err = banger.Errorf(banger.CodeInternal, "cannot %s: the guest answered for another session", method)
	}
	return s, err
}

// Stop implements guestapi.Guest.
func (c *control) Stop(ctx context.Context, id banger.SessionID, r banger.StopRequest) error {
	// Less than a millisecond is not "at once".
	ms := (r.WithDefaults().Grace + time.Millisecond - 1).Milliseconds()
	c.changes.expect(id)
	return c.call(ctx, guestrpc.MethodStop, guestrpc.StopParams{ID: id, GraceMS: ms, By: r.By}, nil)
}

// Signal implements guestapi.Guest.
func (c *control) Signal(ctx context.Context, id banger.SessionID, s guestapi.GuestSignal) error {
	return c.call(ctx, guestrpc.MethodSignal, guestrpc.SignalParams{Session: id, GuestSignal: s}, nil)
}

// Inspect implements guestapi.Guest.
func (c *control) Inspect(ctx context.Context, id banger.SessionID) (guestapi.GuestSession, error) {
	return c.callSession(ctx, guestrpc.MethodInspect, id, guestrpc.IDParams{ID: id})
}

// Attach implements guestapi.Guest, by a direct-streamlocal channel; section 2.4 of
// OpenSSH's PROTOCOL file.
func (c *control) Attach(ctx context.Context, id banger.SessionID, dir string) (net.Conn, error) {
	if c.host != nil {
		conn, err := c.host.attach(ctx, id, dir)
		if err != nil {
			err = banger.Errorf(banger.CodeUnavailable, "cannot reach the session's shim: %w", err)
		}
		return conn, err
	}
	conn, err := opened(ctx, c.client, func() (net.Conn, error) { return c.client.Dial("unix", path.Join(dir, sessiondir.SocketName)) })
	if err != nil {
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot reach the session's shim: %w", err)
	}
	return conn, nil
}

// Copy implements guestapi.Guest.
func (c *control) Copy(ctx context.Context) (net.Conn, error) {
	if !c.copies {
		return nil, banger.Errorf(banger.CodeMismatch, "cannot copy: the agent in the guest is of an older build, which copies no files").
			WithHint("restart the VM, which gives it this build's agent; until then use scp: see banger vm ssh --help")
	}
	var conn net.Conn
	var err error
	if c.host != nil {
		conn, err = c.host.runAnyhow(ctx, c.host.commands.Copy)
	} else {
		conn, err = c.subsystem(ctx, guestconfig.CopySubsystem)
	}
	if err != nil {
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot copy: cannot start the agent's part: %w", err)
	}
	return conn, nil
}

// subsystem starts a subsystem of a guest of ours and returns its streams.
func (c *control) subsystem(ctx context.Context, name string) (net.Conn, error) {
	session, err := opened(ctx, c.client, func() (*ssh.Session, error) { return sshhost.NewSession(ctx, c.client.Client) })
	if err != nil {
		return nil, err
	}
	undo := context.AfterFunc(ctx, func() { session.Close() })
	in, err1 := session.StdinPipe()
	out, err2 := session.StdoutPipe()
	err = errors.Join(err1, err2, session.RequestSubsystem(name))
	if !undo() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		session.Close()
		return nil, err
	}
	return &channelConn{session, in, out}, nil
}

// ReadLog implements guestapi.Guest.
func (c *control) ReadLog(ctx context.Context, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	blob := c.outbox.ExpectBlob()
	var answer guestrpc.LogPage
	err := c.call(ctx, guestrpc.MethodReadLog, guestrpc.LogRead{GuestLogRead: r, Blob: blob}, &answer)
	data := c.outbox.TakeBlob(blob)
	if err != nil {
		return guestapi.GuestLogPage{}, err
	}
	page, err := answer.Join(data)
	if err != nil {
		return page, misunderstood("page of a log", "%w", err)
	}
	return page, checkPage(r, page)
}

// PowerOff implements guestapi.GuestPower. A guest that is somebody else's refuses.
func (c *control) PowerOff(ctx context.Context) error {
	_, err := c.rpc.Call(ctx, guestrpc.MethodPowerOff, nil)
	if e, ok := errors.AsType[*jrpc2.Error](err); ok && e.Code == jrpc2.MethodNotFound && c.host == nil {
		err = c.powerOffByCommand(ctx)
	}
	if err != nil {
		return banger.Errorf(banger.CodeUnavailable, "cannot ask the guest to shut down: %w", err)
	}
	return nil
}

// powerOffCommand is what poweroff does in a guest of ours, whose init and SSH server, the
// parent of the shell, are one program. Anywhere else it does nothing and fails.
const powerOffCommand = "[ /proc/1/exe -ef /proc/$PPID/exe ] && kill -USR2 1"

// powerOffByCommand shuts down a guest whose agent is of a build that has no request for it.
func (c *control) powerOffByCommand(ctx context.Context) error {
	session, err := opened(ctx, c.client, func() (*ssh.Session, error) { return sshhost.NewSession(ctx, c.client.Client) })
	if err != nil {
		return err
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	return session.Run(powerOffCommand)
}

// Spec implements guestapi.Guest.
func (c *control) Spec(ctx context.Context, id banger.SessionID) (guestapi.GuestLaunch, error) {
	var data []byte
	for {
		var part guestrpc.SpecPart
		if err := c.call(ctx, guestrpc.MethodSpec, guestrpc.SpecParams{ID: id, Offset: int64(len(data))}, &part); err != nil {
			return guestapi.GuestLaunch{}, err
		}
		if len(part.Data) > guestrpc.MaxSpecPart || len(data)+len(part.Data) > guestbudget.SpecBytes || len(part.Data) == 0 && !part.End {
			return guestapi.GuestLaunch{}, misunderstood("answer", "what session %s was launched with has %d bytes and more", id, len(data))
		}
		if data = append(data, part.Data...); part.End {
			break
		}
	}
	defer c.turn.take(len(data))()
	return sessiondir.ParseSpec(data)
}

// Remove implements guestapi.Guest.
func (c *control) Remove(ctx context.Context, id banger.SessionID) error {
	return c.call(ctx, guestrpc.MethodRemove, guestrpc.IDParams{ID: id}, nil)
}
