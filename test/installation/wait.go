package installation

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// WaitGone waits until a process that is not our child has ended.
func WaitGone(t testing.TB, p *os.Process) {
	t.Helper()
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatalf("cannot watch process %d: %v", p.Pid, err)
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(30 * time.Second)
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		switch {
		case n > 0:
			return
		case err != nil && !errors.Is(err, unix.EINTR):
			t.Fatalf("cannot watch process %d: %v", p.Pid, err)
		case left <= 0:
			t.Fatalf("process %d has not ended", p.Pid)
		}
	}
}

// WaitFor waits until done reports true, with a bound.
func WaitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
