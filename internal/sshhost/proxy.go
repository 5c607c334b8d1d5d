package sshhost

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"banger/internal/process"
)

// proxyEndTimeout is how long the process of a ProxyCommand may take to end by itself.
const proxyEndTimeout = 2 * time.Second

// jumpConn is a connection through another host, whose own connection ends with it.
type jumpConn struct {
	net.Conn
	jump *ssh.Client
}

// Close implements net.Conn. It does not wait for the other host.
func (c *jumpConn) Close() error { return c.jump.Close() }

// proxyConn is a connection over the standard streams of a process, which ends with it.
type proxyConn struct {
	net.Conn
	cmd    *exec.Cmd
	stderr *process.Head // read it when the process has ended
	ended  chan struct{}
	close  func() error

	mu     sync.Mutex // guards reaped
	reaped bool       // its pid may be another's
}

// startProxy runs a command as ssh does: by exec in the user's shell.
func startProxy(command string) (*proxyConn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "proxy"), os.NewFile(uintptr(pair[1]), "proxy")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	p := &proxyConn{Conn: conn, stderr: &process.Head{Limit: maxComplaint}, ended: make(chan struct{})}
	p.cmd = exec.Command(shell, "-c", "exec "+command)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, theirs, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = proxyEndTimeout // a process that has left the group may keep stderr
	if err := p.cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot run ProxyCommand %q: %w", command, err)
	}
	p.close = sync.OnceValue(p.end)
	go p.reap()
	return p, nil
}

// Close ends the process and returns when it has ended.
func (p *proxyConn) Close() error { return p.close() }

func (p *proxyConn) end() error {
	err := p.Conn.Close()
	p.signal(syscall.SIGHUP)
	overdue := time.AfterFunc(proxyEndTimeout, func() { p.signal(syscall.SIGKILL) })
	defer overdue.Stop()
	<-p.ended
	return err
}

// signal reaches all processes of the command.
func (p *proxyConn) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, s) // gone already is as good
	}
}

// reap waits for the command, and ends what it left in its group while the group's
// id cannot be another's yet.
func (p *proxyConn) reap() {
	defer close(p.ended)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	_ = p.cmd.Wait() // how it ended says less than its stderr
}

// complaint closes the connection and returns what the command wrote to stderr.
func (p *proxyConn) complaint() string {
	_ = p.Close()
	return oneLine(p.stderr.Bytes())
}
