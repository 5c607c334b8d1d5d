// Package wait is for what a test cannot get as an event: the state of a process that is not
// its child, a file that another program writes, what a terminal shows.
package wait

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Limit bounds each wait. Only a failure takes nearly as long.
const Limit = 2 * time.Minute

// interval is the least time between two looks. One that takes long, such as a command in an
// emulated guest, is followed by rest times as much: what is waited for needs the CPU, too.
const (
	interval = 5 * time.Millisecond
	rest     = 3
)

// Test is what a *testing.T, a *testing.B and a *rapid.T have in common.
type Test interface {
	Helper()
	Fatalf(format string, args ...any)
}

// For waits until is reports true. After Limit it ends the test with what it has waited for.
// It calls is from the caller's goroutine, so that is may end the test, too.
func For(t Test, what string, is func() bool) {
	t.Helper()
	limit := time.After(Limit)
	for {
		begun := time.Now()
		if is() {
			return
		}
		select {
		case <-time.After(max(interval, rest*time.Since(begun))):
		case <-limit:
			t.Fatalf("waited %v in vain for %s", Limit, what)
		}
	}
}

// Gone waits until a process, which need not be a child, has ended.
func Gone(t Test, p *os.Process) {
	t.Helper()
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatalf("cannot watch process %d: %v", p.Pid, err)
		return
	}
	defer unix.Close(fd)
	for deadline := time.Now().Add(Limit); ; {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(0, left.Milliseconds())))
		switch {
		case n > 0:
			return
		case err != nil && !errors.Is(err, unix.EINTR):
			t.Fatalf("cannot watch process %d: %v", p.Pid, err)
			return
		case left <= 0:
			t.Fatalf("process %d has not ended in %v", p.Pid, Limit)
			return
		}
	}
}
