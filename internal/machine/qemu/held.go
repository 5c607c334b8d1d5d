package qemu

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/process"
)

// heldProcess is the process of one machine, held by a pidfd: neither a signal nor the
// news of its end can be meant for another process. See pidfd_open(2).
type heldProcess struct {
	id process.Identity
	fd *os.File // non-blocking, so that the runtime's poller waits on it

	closed atomic.Bool
}

// holdProcess takes hold of a process, or fails with process.ErrGone.
func holdProcess(id process.Identity) (*heldProcess, error) {
	fd, err := id.Open()
	if err != nil {
		return nil, err
	}
	return &heldProcess{id: id, fd: fd}, nil
}

// wait returns nil when the process has ended; it is then reaped if it is a
// child of ours. It fails with os.ErrClosed after close.
func (p *heldProcess) wait() error {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Read(process.Ended)
	if p.closed.Load() {
		return os.ErrClosed // which is not what a raw connection says of it
	}
	if err != nil {
		return err
	}
	return p.reap()
}

const (
	// execLimit bounds execve(2), and execPause is how often it is looked at:
	// nothing tells its end.
	execLimit = time.Second
	execPause = time.Millisecond
	// maxCommandBytes bounds what is read of a command line.
	maxCommandBytes = 1 << 20
)

// arguments returns the process's command line: none if it has ended. In the
// middle of execve(2), as when the gate becomes QEMU, it has none either and is
// asked again.
func (p *heldProcess) arguments() ([]string, error) {
	for deadline := time.Now().Add(execLimit); ; time.Sleep(execPause) {
		f, err := os.Open("/proc/" + strconv.Itoa(p.id.PID) + "/cmdline")
		if errors.Is(err, os.ErrNotExist) {
			return nil, process.ErrGone
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(f, maxCommandBytes))
		f.Close()
		if err != nil {
			return nil, err
		}
		if len(data) > 0 || p.ended() || time.Now().After(deadline) {
			return strings.Split(string(data), "\x00"), nil
		}
	}
}

// ended reports whether the process has ended, reaped or not.
func (p *heldProcess) ended() bool {
	gone := false
	_ = p.control(func(fd uintptr) error {
		gone = process.Ended(fd)
		return nil
	})
	return gone
}

// signal sends a signal; to a process that has ended it does nothing.
func (p *heldProcess) signal(s unix.Signal) error {
	err := p.control(func(fd uintptr) error { return unix.PidfdSendSignal(int(fd), s, nil, 0) })
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

func (p *heldProcess) reap() error {
	err := p.control(func(fd uintptr) error {
		return unix.Waitid(unix.P_PIDFD, int(fd), nil, unix.WEXITED|unix.WNOHANG, nil)
	})
	if errors.Is(err, unix.ECHILD) {
		return nil // not our child, or another handle was faster
	}
	return err
}

func (p *heldProcess) close() error {
	p.closed.Store(true)
	return p.fd.Close()
}

// control runs fn with the pidfd while it is certainly open.
func (p *heldProcess) control(fn func(fd uintptr) error) error {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(fd) }); err != nil {
		return err
	}
	return inner
}
