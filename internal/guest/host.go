package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/localsocket"
	"banger/internal/sessiondir"
	"banger/internal/sshhost"
	"banger/internal/vmm"
)

// Host is a machine whose SSH server is not ours: it is logged in to in its own way,
// and the agent is brought there.
type Host interface {
	vmm.Machine
	// Login opens an authenticated connection.
	Login(ctx context.Context) (*ssh.Client, error)
	// Install sees to it that the agent is there, and says how it is run.
	Install(ctx context.Context, client *ssh.Client) (vmm.AgentCommands, error)
	// Fingerprint changes with the user's configuration, known hosts, keys and agent:
	// while it does not, a login that was refused will be again.
	Fingerprint() string
}

// installTimeout bounds an upload of the agent.
const installTimeout = 20 * time.Minute

// install brings the agent to a remote host; a guest of ours has it.
func (k *link) install(ctx context.Context, client *connection) (*vmm.AgentCommands, error) {
	host, ok := k.access.Machine.(Host)
	if !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, installTimeout, fmt.Errorf("the agent was not there within %s", installTimeout))
	defer cancel()
	commands, err := host.Install(ctx, client.Client)
	return &commands, asRefusal(err)
}

// hostSockets opens the sockets of sessions on a remote host.
type hostSockets struct {
	client       *connection
	host         Host
	commands     *vmm.AgentCommands // how its agent is run
	noForwarding atomic.Bool        // its server forwards no sockets
}

// attach opens a connection to a session's socket on a remote host: forwarded,
// or where the server forwards none, over a channel of its own. What a refusal means
// is not told by its reason: OpenSSH has one for both no socket and no forwarding.
func (c *hostSockets) attach(ctx context.Context, id banger.SessionID, dir string) (net.Conn, error) {
	socket := path.Join(dir, sessiondir.SocketName)
	forward := len(socket) <= localsocket.MaxPath && !c.noForwarding.Load()
	if forward {
		conn, err := opened(ctx, c.client, func() (net.Conn, error) { return c.client.Dial("unix", socket) })
		if _, refused := errors.AsType[*ssh.OpenChannelError](err); !refused {
			return conn, err
		}
	}
	conn, err := c.runAnyhow(ctx, c.commands.Connect(id))
	if err == nil && forward {
		c.noForwarding.Store(true)
	}
	return conn, err
}

// runAnyhow runs a command of the agent on the host, if need be on a connection of its own,
// and returns its streams behind its announcement.
func (c *hostSockets) runAnyhow(ctx context.Context, command string) (net.Conn, error) {
	conn, err := c.run(ctx, c.client, command)
	if _, refused := errors.AsType[*ssh.OpenChannelError](err); !refused {
		return conn, err
	}
	// The server takes no second channel on a connection (MaxSessions 1).
	client, err := c.host.Login(ctx)
	if err != nil {
		return nil, err
	}
	if conn, err = c.run(ctx, newConnection(client), command); err != nil {
		client.Close()
		return nil, err
	}
	return ownConnection{conn, client}, nil
}

// run runs a command on a connection.
func (c *hostSockets) run(ctx context.Context, client *connection, command string) (net.Conn, error) {
	session, err := opened(ctx, client, client.NewSession)
	if err != nil {
		return nil, err // nothing is tried again: see runAnyhow
	}
	undo := context.AfterFunc(ctx, func() { session.Close() })
	conn, err := c.start(session, command)
	if !undo() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		session.Close()
		return nil, fmt.Errorf("cannot connect through a command: %w", err)
	}
	return conn, nil
}

func (c *hostSockets) start(session *ssh.Session, command string) (net.Conn, error) {
	in, err1 := session.StdinPipe()
	out, err2 := session.StdoutPipe()
	if err := errors.Join(err1, err2, session.Start(command)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(in, sshhost.Beginning(c.commands.Announce)); err != nil {
		return nil, err
	}
	rest, err := sshhost.BehindAnnouncement(out, c.commands.Announce)
	return &channelConn{session, in, rest}, err
}

// channelConn is the standard streams of a command as a net.Conn.
type channelConn struct {
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
}

func (c *channelConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *channelConn) Write(p []byte) (int, error) { return c.in.Write(p) }
func (c *channelConn) CloseWrite() error           { return c.in.Close() }
func (c *channelConn) Close() error                { return c.session.Close() }
func (c *channelConn) LocalAddr() net.Addr         { return channelAddr{} }
func (c *channelConn) RemoteAddr() net.Addr        { return channelAddr{} }

// As the channels of x/crypto/ssh, it has no deadlines; whoever needs one closes it.
var errNoDeadline = errors.New("a channel has no deadline")

func (c *channelConn) SetDeadline(time.Time) error      { return errNoDeadline }
func (c *channelConn) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (c *channelConn) SetWriteDeadline(time.Time) error { return errNoDeadline }

type channelAddr struct{}

func (channelAddr) Network() string { return "ssh" }
func (channelAddr) String() string  { return "channel" }

// ownConnection is a net.Conn with an SSH connection of its own, which ends with it.
type ownConnection struct {
	net.Conn
	client *ssh.Client
}

// Close closes both.
func (c ownConnection) Close() error { return errors.Join(c.Conn.Close(), c.client.Close()) }
