// Package pidfd signals processes by a descriptor, which a reused pid cannot mislead, and
// by their pid where there is no such descriptor: kernels have them since 5.3
// (pidfd_open(2)) and 5.1 (pidfd_send_signal(2)), and filters of system calls know them
// later still, if at all.
package pidfd

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/process"
)

// Process is one that had a pid when it was opened. Not safe for concurrent use.
type Process struct {
	pid int
	fd  int // -1 where there are none
}

// Open returns the process that has pid now, which the caller closes, and false if there
// is none. Who wants a certain process looks whether it is that one after Open.
func Open(pid int) (*Process, bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case refused(err):
		return &Process{pid, -1}, exists(pid)
	case err != nil:
		return nil, false
	}
	return &Process{pid, fd}, true
}

// Signal sends a signal; that the process has ended is not an error. Without a descriptor
// it goes to whoever has the pid by then: the kernel gives a pid away again only when
// all others have had their turn, which takes longer than from a look to a call.
func (p *Process) Signal(s unix.Signal) error {
	err := error(unix.ENOSYS)
	if p.fd >= 0 {
		err = unix.PidfdSendSignal(p.fd, s, nil, 0)
	}
	if refused(err) { // or the process is not ours to signal: kill(2) says the same again
		err = unix.Kill(p.pid, s)
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// lookEvery is how often the end of a process is looked for that cannot be waited for.
const lookEvery = 2 * time.Millisecond

// AwaitEnd returns when the process has ended, reaped or not, or after limit.
func (p *Process) AwaitEnd(limit time.Duration) error {
	if p.fd >= 0 {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(limit.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		return nil
	}
	for end := time.Now().Add(limit); exists(p.pid) && time.Now().Before(end); {
		time.Sleep(lookEvery) // the kernel reports it to the parent only
	}
	return nil
}

// Close gives the descriptor back.
func (p *Process) Close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
}

// refused reports whether a system call failed because the kernel does not have it or a
// filter does not know it: ENOSYS, or EPERM in filters that were made before Linux had
// it (docker before 20.10).
func refused(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM)
}

// exists reports whether a process has the pid that has not ended.
func exists(pid int) bool {
	stat, err := process.ReadStat(pid)
	return err == nil && !stat.Ended()
}
