package hosttest

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/agent/sshd"
	"banger/internal/guestconfig"
	"banger/internal/machine/inmem"
	"banger/internal/sessiondir"
)

// guests is what runs in the machines of an in-memory driver: the agent's real
// SSH server, whose control processes and shims are real processes of this host.
type guests struct {
	t      testing.TB
	bin    Binaries
	dir    string // holds the session directories of all VMs
	client ssh.PublicKey

	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

// driver makes a driver of such guests, which change may be nil or change.
func (g *guests) driver(change func(*inmem.Guest)) *inmem.Driver {
	guest := inmem.Guest{Serve: g.serve}
	if change != nil {
		change(&guest)
	}
	return inmem.NewGuest(guest)
}

// sessionsDir is where the sessions of one VM lie; it is its work disk.
func (g *guests) sessionsDir(id banger.VMID) string { return filepath.Join(g.dir, string(id)) }

// waitRecorded waits until the end of a session is in its directory.
func (g *guests) waitRecorded(x banger.Session) {
	g.t.Helper()
	dir := os.DirFS(filepath.Join(g.sessionsDir(x.VMID), string(x.ID)))
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if state, err := sessiondir.ReadState(dir); err == nil && state.Status.Ended() {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			g.t.Fatalf("the end of session %s was not recorded", x.Name)
		}
	}
}

// serve serves one connection to a guest.
func (g *guests) serve(spec banger.MachineSpec, conn net.Conn) {
	key, err := os.ReadFile(filepath.Join(spec.StateDir, "ssh_host_ed25519_key"))
	if err != nil {
		g.t.Errorf("cannot read host key: %v", err)
		return
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		g.t.Errorf("cannot parse host key: %v", err)
		return
	}
	server := sshd.New(sshd.Config{
		HostKey: signer, AuthorizedKeys: []ssh.PublicKey{g.client}, Users: passwd.System(),
		Subsystems: map[string][]string{guestconfig.ControlSubsystem: {
			g.bin.Agent, "control", "--sessions-dir", g.sessionsDir(spec.VMID), "--shim", g.bin.Shim,
		}},
		Logger: slog.New(slog.DiscardHandler),
	})
	g.note(conn, true)
	defer g.note(conn, false)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	one := &oneConn{conn: conn, accepted: make(chan struct{}, 1), closed: make(chan struct{}), end: cancel}
	if err := server.Serve(ctx, one); err != nil {
		g.t.Logf("SSH server has ended: %v", err)
	}
}

func (g *guests) note(conn net.Conn, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if open {
		g.conns[conn] = struct{}{}
	} else {
		delete(g.conns, conn)
	}
}

// cut breaks every connection to a guest, as a network does.
func (g *guests) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.conns {
		conn.Close()
	}
}

// oneConn is a listener that has one connection and ends with it.
type oneConn struct {
	conn     net.Conn
	accepted chan struct{}
	closed   chan struct{}
	once     sync.Once
	end      func()
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case l.accepted <- struct{}{}:
		return &watchedConn{Conn: l.conn, end: l.end}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// watchedConn tells when it is closed.
type watchedConn struct {
	net.Conn
	end func()
}

func (c *watchedConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}

// patience bounds every wait of a test.
const patience = 30 * time.Second
