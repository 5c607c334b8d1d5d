package control

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"banger"
	"banger/internal/agent/shim"
	"banger/internal/agent/shimclient"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
)

// launchTimeout bounds how long a shim may take to say whether the command runs.
const launchTimeout = 60 * time.Second

// launcher starts sessions. Safe for concurrent use.
type launcher struct {
	registry   *registry
	preflight  *preflight
	standby    *standby
	watcher    *watcher
	settler    *settler
	leftovers  leftovers
	cgroupRoot string // as Config.CgroupRoot
	tasks      *tasks
	log        *slog.Logger
}

// launch starts a session unless its id has been seen before. Once it has begun
// it is carried through, whether the link lives or not.
func (l *launcher) launch(ctx context.Context, g guestapi.GuestLaunch) (guestapi.GuestSession, error) {
	whole, err := g.WithSecrets(g.SecretEnv)
	if err == nil {
		err = whole.Validate()
	}
	if err != nil {
		return guestapi.GuestSession{}, err
	}
	return l.settleLaunch(ctx, g, func(dir string, lock *os.File) *session {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), launchTimeout)
		defer cancel()
		p, failure := l.preflight.plan(g)
		if failure != nil {
			return l.failLaunch(g.ID, dir, failure)
		}
		return l.spawn(ctx, g, p, dir, lock)
	})
}

// abandon makes sure that an id whose launch got no answer never starts.
func (l *launcher) abandon(ctx context.Context, p guestrpc.IDParams) (guestapi.GuestSession, error) {
	return l.settleLaunch(ctx, guestapi.GuestLaunch{ID: p.ID}, func(dir string, _ *os.File) *session {
		return l.failLaunch(p.ID, dir, &launchFailure{stage: banger.StageDialGuest, message: "cannot start session: its launch never arrived in the guest"})
	})
}

// settleLaunch returns what became of a launch, which is never that it is about
// to start. If its id is new, begin makes the session in its new directory.
func (l *launcher) settleLaunch(ctx context.Context, g guestapi.GuestLaunch, begin func(dir string, lock *os.File) *session) (guestapi.GuestSession, error) {
	if !banger.ValidID(string(g.ID)) {
		return guestapi.GuestSession{}, banger.Errorf(banger.CodeInvalid, "cannot start session %.40q: not a session id", string(g.ID))
	}
	x, err := l.create(g, begin)
	if err == nil {
		err = x.awaitStart(ctx)
	}
	if err != nil {
		return guestapi.GuestSession{}, err
	}
	return x.report(), nil
}

// create claims an id by making its directory, and returns the session of whoever
// did that first.
func (l *launcher) create(g guestapi.GuestLaunch, begin func(dir string, lock *os.File) *session) (*session, error) {
	unlock := l.registry.claim(g.ID)
	defer unlock()
	if x := l.registry.takeIn(g.ID); x != nil {
		x.want()
		return x, nil
	}
	dir, lock, err := l.registry.create(g)
	if errors.Is(err, fs.ErrExist) { // another control server was faster
		if x := l.registry.takeIn(g.ID); x != nil {
			x.want()
			return x, nil
		}
	}
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	return begin(dir, lock), nil
}

// failLaunch makes a session that never ran, in a directory that we own.
func (l *launcher) failLaunch(id banger.SessionID, dir string, f *launchFailure) *session {
	x := l.registry.add(id, dir, l.settler.fail(id, dir, f))
	l.tasks.work.Go(func() { l.registry.release(x) })
	return x
}

// logLimit is what a shim makes of a launch's.
func logLimit(n int64) int64 {
	switch {
	case n == 0:
		return banger.DefaultLogLimit
	case n < 0:
		return 0
	}
	return n
}

// timeoutGrace is what a shim makes of a launch's.
func timeoutGrace(ms *int64) time.Duration {
	if ms == nil {
		return banger.DefaultStopGrace
	}
	return time.Duration(*ms) * time.Millisecond
}

// spawn leaves the session to a shim of its own.
func (l *launcher) spawn(ctx context.Context, g guestapi.GuestLaunch, p plan, dir string, lock *os.File) *session {
	state, child, err := l.launchShim(ctx, lock, shim.Launch{
		Dir:        dir,
		Path:       banger.ByteString(p.path),
		Argv:       slices.Concat([]banger.ByteString{banger.ByteString(p.name)}, g.Args),
		Env:        environ(p.env),
		Cwd:        banger.ByteString(p.cwd),
		UID:        p.user.UID,
		GID:        p.user.GID,
		Groups:     p.user.Groups,
		StdinMode:  g.StdinMode,
		TTY:        g.TTY,
		Window:     g.Window,
		LogLimit:   logLimit(g.LogLimit),
		SyncWrites: g.SyncWrites,
		CgroupRoot: l.cgroupRoot,

		Timeout:      time.Duration(g.TimeoutMS) * time.Millisecond,
		TimeoutGrace: timeoutGrace(g.TimeoutGraceMS),
		KeepChildren: g.KeepChildren,
		StopSignal:   g.StopSignal,
		Limits:       g.Limits,
	})
	if err != nil {
		if killErr := l.leftovers.kill(g.ID); killErr != nil {
			err = errors.Join(err, killErr)
		}
		return l.failLaunch(g.ID, dir, &launchFailure{stage: banger.StageLaunch, message: "cannot start session: " + err.Error(), rawLog: err.Error()})
	}
	x := l.registry.add(g.ID, dir, state.SessionState)
	l.tasks.work.Go(func() {
		l.watcher.watch(x, func() {})
		l.registry.release(x)
		if l.tasks.ctx.Err() != nil {
			return // init adopts and reaps it
		}
		if err := child.Wait(); err != nil {
			l.log.Warn("shim has failed", "session", x.id, "cause", err)
		}
	})
	return x
}

// launchShim has a shim own a session.
func (l *launcher) launchShim(ctx context.Context, lock *os.File, launch shim.Launch) (sessiondir.State, *shimclient.Child, error) {
	began := time.Now()
	defer func() { l.standby.next(time.Since(began)) }()
	process, err := l.standby.take()
	if err != nil {
		return sessiondir.State{}, nil, err
	}
	return process.Launch(ctx, lock, launch)
}
