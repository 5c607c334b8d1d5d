package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/agent/sshd"
	"banger/internal/guestconfig"
	"banger/internal/machine/inmem"
	"banger/internal/sessiondir"
	"banger/internal/vmm"
	"banger/test/wait"
)

// Guests are what runs in machines that need no virtual machine: the agent's real
// SSH server, whose control processes and shims are real processes of this host.
type Guests struct {
	t      testing.TB
	bin    Binaries
	dir    string // holds the session directories of all VMs
	client ssh.PublicKey
	users  passwd.DB

	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

// NewGuests returns guests whose sessions lie in dir, and that let in who has the
// client's key.
func NewGuests(t testing.TB, bin Binaries, dir string, client ssh.PublicKey) *Guests {
	t.Helper()
	users, err := usersOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &Guests{t: t, bin: bin, dir: dir, client: client, users: users, conns: map[net.Conn]struct{}{}}
}

// usersOf are those of this host. Where it is not root who runs the tests, that user is
// "root", with a home that may be entered.
func usersOf(dir string) (passwd.DB, error) {
	if os.Geteuid() == 0 {
		return passwd.System(), nil
	}
	etc := filepath.Join(dir, "etc")
	entry := fmt.Sprintf("root:x:%d:%d::%s:/bin/sh\n", os.Geteuid(), os.Getegid(), dir)
	return passwd.At(etc), errors.Join(os.MkdirAll(etc, 0o700), os.WriteFile(filepath.Join(etc, "passwd"), []byte(entry), 0o600))
}

// driver makes a driver of such guests, which change may be nil or change.
func (g *Guests) driver(change func(*inmem.Guest)) *inmem.Driver {
	guest := inmem.Guest{Serve: g.Serve}
	if change != nil {
		change(&guest)
	}
	return inmem.NewGuest(guest)
}

// SessionsDir is where the sessions of one VM lie; it is its work disk.
func (g *Guests) SessionsDir(id banger.VMID) string { return filepath.Join(g.dir, string(id)) }

// waitRecorded waits until the end of a session is in its directory.
func (g *Guests) waitRecorded(x banger.Session) {
	g.t.Helper()
	dir := os.DirFS(filepath.Join(g.SessionsDir(x.VMID), string(x.ID)))
	wait.For(g.t, "the end of session "+x.Name+" on the disk", func() bool {
		state, err := sessiondir.ReadState(dir)
		return err == nil && state.Status.Ended()
	})
}

// Serve serves one connection to a guest. Of the spec it uses the VM and the directory
// in which its host key is.
func (g *Guests) Serve(spec vmm.MachineSpec, conn net.Conn) {
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
		HostKey: signer, AuthorizedKeys: []ssh.PublicKey{g.client}, Users: g.users,
		Subsystems: map[string][]string{
			guestconfig.ControlSubsystem: {g.bin.Agent, "control", "--sessions-dir", g.SessionsDir(spec.VMID), "--shim", g.bin.Shim},
			guestconfig.CopySubsystem:    {g.bin.Agent, "copy"},
			"sftp":                       {g.bin.Agent, "sftp"},
		},
		SCP:    []string{g.bin.Agent, "scp"},
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

func (g *Guests) note(conn net.Conn, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if open {
		g.conns[conn] = struct{}{}
	} else {
		delete(g.conns, conn)
	}
}

// Cut breaks every connection to a guest, as a network does.
func (g *Guests) Cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.conns {
		conn.Close()
	}
}

// Kill kills the shims of a VM's sessions, and with them their commands.
func (g *Guests) Kill(id banger.VMID) {
	g.t.Helper()
	for _, pid := range processesWith(g.bin.Shim, g.SessionsDir(id)+"/") {
		killAndWait(pid)
	}
}

// killAll does so for all VMs, those that have been deleted among them.
func (g *Guests) killAll() {
	for _, pid := range processesWith(g.bin.Shim, g.dir+"/") {
		killAndWait(pid)
	}
}

// KillControl kills the control processes of a VM.
func (g *Guests) KillControl(id banger.VMID) {
	g.t.Helper()
	dir := []byte(g.SessionsDir(id) + "\x00")
	for _, pid := range processesOf(g.bin.Agent) {
		if line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")); err == nil && bytes.Contains(line, dir) {
			killAndWait(pid)
		}
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

// watchedConn reports when it is closed.
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

// killAndWait kills a process and waits until it is gone.
func killAndWait(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
}

// processesOf returns the pids of the processes that run a program.
func processesOf(program string) []int {
	return processesThat(func(exe string) bool { return exe == program })
}

// processesIn returns those that run a program of a directory.
func processesIn(dir string) []int {
	return processesThat(func(exe string) bool { return strings.HasPrefix(exe, dir+"/") })
}

// processesThat returns those of whose program is is true.
func processesThat(is func(exe string) bool) []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe")); err == nil && is(exe) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// processesWith returns those that have a file below dir open, as a shim has that
// of its session.
func processesWith(program, dir string) []int {
	var pids []int
	for _, pid := range processesOf(program) {
		if slices.ContainsFunc(openFiles(pid), func(path string) bool { return strings.HasPrefix(path, dir) }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// openFiles returns the paths of what a process has open; proc(5), fd.
func openFiles(pid int) (paths []string) {
	fds, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil {
			paths = append(paths, target)
		}
	}
	return paths
}
