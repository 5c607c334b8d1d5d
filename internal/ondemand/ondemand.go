// Package ondemand reaches the daemon of an installation and starts one where
// none runs.
package ondemand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"banger"
	"banger/internal/filelock"
	"banger/internal/hostid"
	"banger/internal/localsocket"
	"banger/internal/paths"
)

const (
	// startPatience bounds one start, of which adopting many machines is the
	// longest part.
	startPatience = time.Minute
	// lockRetry is the time between two looks at a file lock: flock(2) can wait
	// for ever or not at all, and nothing announces that a lock is free.
	lockRetry = 20 * time.Millisecond
)

// Launcher reaches one installation's daemon. Safe for concurrent use.
type Launcher struct {
	paths   paths.Paths
	command []string
	service Service     // nil if none serves this installation
	reached atomic.Bool // a connection has been made before
}

// New returns a launcher. command is the argument vector of a daemon that serves
// the installation of p and follows the protocol of spawn; its first element is
// an absolute path.
// service, if not nil, is tried first.
func New(p paths.Paths, command []string, service Service) *Launcher {
	return &Launcher{paths: p, command: command, service: service}
}

// Service is a daemon of this installation that a service manager may run, so that
// there is one owner of it; internal/systemd.Host is it.
type Service interface {
	// StartService returns when the service has started. started is false if there
	// is none, or none that the user has enabled.
	StartService(ctx context.Context) (started bool, err error)
}

// DialRunning connects to the running daemon, and waits for one that is coming up. Without
// one it fails with banger.CodeUnavailable.
func (l *Launcher) DialRunning(ctx context.Context) (net.Conn, error) {
	conn, err := l.dial(ctx)
	if err == nil || !nobodyAnswers(err) {
		return conn, err
	}
	if err := l.checkHost(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	conn, settled := l.settle(ctx)
	if conn != nil || settled != nil {
		return conn, settled
	}
	return nil, err
}

// dial connects to the daemon if one answers.
func (l *Launcher) dial(ctx context.Context) (net.Conn, error) {
	if err := l.paths.CheckOwner(); err != nil {
		return nil, err
	}
	conn, err := localsocket.DialOwn(ctx, l.paths.Socket())
	switch {
	case err == nil:
		l.reached.Store(true)
		return conn, nil
	case banger.CodeOf(err) == banger.CodeInvalid:
		return nil, err
	case nobodyAnswers(err):
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot reach daemon: none is running: %w", err)
	default:
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot reach daemon: %w", err)
	}
}

func nobodyAnswers(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// Dial connects to the daemon and starts one if none runs. A launcher that has
// reached a daemon before starts another only in place of one that died: that
// leaves its socket behind, while one that was asked to stop removes it, and
// a client that is still following something must not undo that.
func (l *Launcher) Dial(ctx context.Context) (net.Conn, error) {
	reached := l.reached.Load()
	conn, err := l.dial(ctx)
	if err == nil || !nobodyAnswers(err) {
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return l.start(ctx, reached)
}

// start holds the start lock, so that of many callers one starts a daemon and
// the others find it. With deadOnly it starts none in place of one that was asked to stop.
func (l *Launcher) start(ctx context.Context, deadOnly bool) (net.Conn, error) {
	if err := l.paths.Create(); err != nil {
		return nil, err
	}
	if err := l.checkHost(); err != nil {
		return nil, err
	}
	lock := flock.New(l.paths.StartLock(), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot start daemon: cannot lock %s: %w", lock.Path(), err)
	}
	defer lock.Close()

	conn, err := l.settle(ctx)
	if conn != nil || err != nil {
		return conn, err
	}
	if deadOnly {
		if conn, err := l.dial(ctx); errors.Is(err, syscall.ENOENT) || conn != nil {
			return conn, err
		}
	}
	if l.service != nil {
		// One that fails says why only in the manager's journal; a daemon that is
		// started here says it to the caller.
		if started, err := l.service.StartService(ctx); started && err == nil {
			if conn, err := l.settle(ctx); conn != nil || err != nil {
				return conn, err
			}
		}
	}
	return l.spawn(ctx)
}

// checkHost refuses the state of another host, whose daemon cannot be reached from here.
func (l *Launcher) checkHost() error {
	here, err := hostid.Here()
	if err != nil {
		return err
	}
	return hostid.Check(l.paths.Claim(), here)
}

// settle waits until a daemon answers, then it returns a connection, or until
// none runs, then it returns nil: one that is coming up or going down, or whose socket
// somebody removed, holds its lock and does not answer.
func (l *Launcher) settle(ctx context.Context) (net.Conn, error) {
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for {
		conn, err := l.dial(ctx)
		if err == nil || banger.CodeOf(err) == banger.CodeInvalid {
			return conn, err
		}
		free, err := l.daemonGone()
		if free || err != nil {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, l.hanging(ctx.Err())
		}
	}
}

// WaitStopped returns when no daemon of the installation is left, or with ctx.
func (l *Launcher) WaitStopped(ctx context.Context) error {
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for {
		gone, err := l.daemonGone()
		if gone || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return l.hanging(ctx.Err())
		}
	}
}

// daemonGone reports whether nobody holds the lock that a daemon holds for life.
func (l *Launcher) daemonGone() (bool, error) {
	held, _, err := filelock.Held(l.paths.DaemonLock())
	if err != nil {
		return false, fmt.Errorf("cannot look for daemon: %w", err)
	}
	return !held, nil
}

// hanging is the error about a daemon that lives and does not answer.
func (l *Launcher) hanging(cause error) error {
	pid := "unknown"
	if _, note, err := filelock.Held(l.paths.DaemonLock()); err == nil && note != "" {
		pid = strings.TrimSpace(note)
	}
	return banger.Errorf(banger.CodeTimeout, "cannot reach daemon: one runs (pid %s) and does not answer: %w", pid, cause).
		WithHint("see its log: %s", l.paths.DaemonLog())
}
