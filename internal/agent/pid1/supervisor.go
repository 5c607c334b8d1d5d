package pid1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/signalname"
)

// How long the server stays down after it died: doubled with each death until it
// ran for healthyAfter.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
	healthyAfter = 10 * time.Second
)

// supervisor keeps one server running and reaps every process that has no
// parent. It does not know how to end other processes: those that the server
// started live on when it dies. Its methods belong to one goroutine.
type supervisor struct {
	argv  []string // of the server
	env   []string
	ready func(ctx context.Context) // called when a server has said that it listens
	log   *slog.Logger

	pid       int // of the server, 0 while none runs
	startedAt time.Time
	backoff   time.Duration
	waiters   sync.WaitGroup // one per server: waits for its word
}

// ReadyFD is the descriptor to which the server writes one byte when it listens.
const ReadyFD = 3

// run keeps the server running until ctx ends. It leaves the server running.
func (s *supervisor) run(ctx context.Context, children <-chan os.Signal) {
	s.backoff = firstBackoff
	restart := time.After(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-restart:
			restart = nil
			if err := s.start(ctx); err != nil {
				s.log.Error("cannot start the server", "error", err)
				restart = time.After(s.nextBackoff())
			}
		case <-children:
			if s.reap() {
				restart = time.After(s.nextBackoff())
			}
		}
	}
}

// start starts the server in a session of its own, so that no signal to a
// process group reaches more than was meant.
func (s *supervisor) start(ctx context.Context) error {
	said, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	attr := &syscall.ProcAttr{
		Env:   s.env,
		Files: []uintptr{0, 1, 2, ReadyFD: theirs.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	pid, err := syscall.ForkExec(s.argv[0], s.argv, attr)
	if err != nil {
		said.Close()
		return fmt.Errorf("cannot execute %s: %w", s.argv[0], err)
	}
	s.pid, s.startedAt = pid, time.Now()
	s.waiters.Go(func() {
		defer said.Close()
		if n, _ := said.Read(make([]byte, 1)); n == 1 { // else it died before
			s.ready(ctx)
		}
	})
	return nil
}

// reap reaps all children that have ended and reports whether the server was
// among them. Only init may do this: nobody else waits for a child here.
func (s *supervisor) reap() (serverEnded bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || pid <= 0:
			return serverEnded
		case pid == s.pid:
			s.pid, serverEnded = 0, true
			s.log.Error("the server ended", "pid", pid, "cause", describe(status))
		}
	}
}

// nextBackoff is how long to wait before the next start.
func (s *supervisor) nextBackoff() time.Duration {
	if time.Since(s.startedAt) >= healthyAfter {
		s.backoff = firstBackoff
	}
	wait := s.backoff
	s.backoff = min(2*s.backoff, lastBackoff)
	return wait
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return signalname.Of(status.Signal())
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
