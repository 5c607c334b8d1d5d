// Package process identifies Linux processes in a way that a reused pid cannot
// fool, and keeps what they say within bounds.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Identity names one process for ever: no other process of any boot has it.
type Identity struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks since boot: field 22 of /proc/PID/stat, proc(5)
	BootID    string `json:"boot_id"`
}

// ErrGone says that a process has ended, or that its pid means another one now.
var ErrGone = errors.New("the process has ended")

// Identify returns the identity of the process that has pid now. It fails with
// ErrGone if there is none; a zombie still is one.
func Identify(pid int) (Identity, error) {
	start, err := startTime(pid)
	if err != nil {
		return Identity{}, err
	}
	boot, err := BootID()
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, StartTime: start, BootID: boot}, nil
}

// Alive reports whether the identified process still exists, as a zombie too.
func (id Identity) Alive() bool { return id.check() == nil }

// Open returns a pidfd of the process, which the runtime's poller can wait on; the
// caller closes it. It fails with ErrGone, and on kernels without pidfds; pidfd_open(2).
func (id Identity) Open() (*os.File, error) {
	if id.PID == 0 {
		return nil, ErrGone
	}
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil, ErrGone
	}
	if err != nil {
		// The number may be a thread's: EINVAL, in newer kernels ENOENT. Either has other
		// reasons too.
		if threads := errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT); threads && errors.Is(id.check(), ErrGone) {
			return nil, ErrGone
		}
		return nil, fmt.Errorf("cannot open process %d: %w", id.PID, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	// Whoever had the pid when it was opened keeps it while the pidfd is open and
	// unreaped, so the identity is checked after, not before.
	if err := id.check(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// check fails with ErrGone if the process has ended, or its pid means another one or a
// thread now, and with another error if that cannot be told.
func (id Identity) check() error {
	now, err := Identify(id.PID)
	if err == nil && now != id {
		return ErrGone
	}
	return err
}

// AwaitEnd returns nil when the process has ended, though nobody may have reaped it. It
// fails when ctx ends, and where Open does for another reason than ErrGone.
func (id Identity) AwaitEnd(ctx context.Context) error {
	f, err := id.Open()
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })
	defer stop()
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Read(Ended)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Ended reports whether the process of a pidfd has ended, reaped or not: that makes it
// readable.
func Ended(pidfd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// BootID returns the running kernel's boot id, random(4).
func BootID() (string, error) { return bootID() }

// Uptime returns the time since the kernel started, in which the machine may have been
// suspended; clock_gettime(2), CLOCK_BOOTTIME.
func Uptime() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("cannot read the clock of the host's boot: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

var bootID = sync.OnceValues(readBootID)

func readBootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot read boot id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func startTime(pid int) (uint64, error) {
	stat, err := ReadStat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(stat.Field(22), 10, 64)
}
