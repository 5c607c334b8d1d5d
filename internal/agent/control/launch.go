package control

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"banger"
	"banger/internal/agent/shim"
	"banger/internal/agent/shimclient"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/internal/records"
	"banger/internal/sessiondir"
)

// launchTimeout bounds how long a shim may take to say whether the command runs.
const launchTimeout = 60 * time.Second

// launch starts a session unless its id has been seen before. Once it has begun
// it is carried through, whether the link lives or not.
func (s *server) launch(ctx context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
	whole, err := l.WithSecrets(l.SecretEnv)
	if err == nil {
		err = whole.Validate()
	}
	if err != nil {
		return guestapi.GuestSession{}, err
	}
	return s.settleLaunch(ctx, l, func(dir string, lock *os.File) *session {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), launchTimeout)
		defer cancel()
		p, failure := s.preflight(l)
		if failure != nil {
			return s.failLaunch(l.ID, dir, failure)
		}
		return s.spawn(ctx, l, p, dir, lock)
	})
}

// abandon makes sure that an id whose launch got no answer never starts.
func (s *server) abandon(ctx context.Context, p guestrpc.IDParams) (guestapi.GuestSession, error) {
	return s.settleLaunch(ctx, guestapi.GuestLaunch{ID: p.ID}, func(dir string, _ *os.File) *session {
		return s.failLaunch(p.ID, dir, &launchFailure{banger.StageDialGuest, "cannot start session: its launch never arrived in the guest", ""})
	})
}

// settleLaunch returns what became of a launch, which is never that it is about
// to start. If its id is new, begin makes the session in its new directory.
func (s *server) settleLaunch(ctx context.Context, l guestapi.GuestLaunch, begin func(dir string, lock *os.File) *session) (guestapi.GuestSession, error) {
	if !banger.ValidID(string(l.ID)) {
		return guestapi.GuestSession{}, banger.Errorf(banger.CodeInvalid, "cannot start session %.40q: not a session id", string(l.ID))
	}
	x, err := s.create(l, begin)
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
func (s *server) create(l guestapi.GuestLaunch, begin func(dir string, lock *os.File) *session) (*session, error) {
	unlock := s.claims.Hold(l.ID)
	defer unlock()
	if x := s.takeIn(l.ID); x != nil {
		x.want()
		return x, nil
	}
	dir, lock, err := sessiondir.Create(s.SessionsDir, l)
	if errors.Is(err, fs.ErrExist) { // another control server was faster
		if x := s.takeIn(l.ID); x != nil {
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

// failLaunch records that a session, which we own, never ran.
func (s *server) failLaunch(id banger.SessionID, dir string, f *launchFailure) *session {
	state, err := sessiondir.ReadState(os.DirFS(dir))
	if err != nil {
		state = sessiondir.State{ID: id, BootID: s.bootID}
		state.LastError = err.Error()
	}
	state.Sequence++
	state.Status, state.EndedBy, state.EndedAt = banger.StatusFailed, banger.EndedByLaunch, time.Now().UTC()
	state.LaunchStage, state.LaunchMessage, state.LaunchRawLog = f.stage, f.message, f.rawLog
	state.SessionState = sessiondir.Report(state.SessionState)
	s.keep(dir, &state, sessiondir.SettleState)
	x := newSession(id, dir, state.SessionState, s.push)
	s.register(x)
	s.tasks.Go(func() { s.release(x) })
	return x
}

// keep writes the final state of a session that we own.
func (s *server) keep(dir string, state *sessiondir.State, write func(string, sessiondir.State) error) {
	if err := write(dir, *state); err != nil {
		s.Logger.Error("cannot keep the end of a session", "session", state.ID, "cause", err)
		records.NoteError(&state.SessionState, err.Error())
	}
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
func (s *server) spawn(ctx context.Context, l guestapi.GuestLaunch, p plan, dir string, lock *os.File) *session {
	state, child, err := s.launchShim(ctx, lock, shim.Launch{
		Dir:        dir,
		Path:       banger.ByteString(p.path),
		Argv:       slices.Concat([]banger.ByteString{l.Command}, l.Args),
		Env:        environ(p.env),
		Cwd:        banger.ByteString(p.cwd),
		UID:        p.user.UID,
		GID:        p.user.GID,
		Groups:     p.user.Groups,
		StdinMode:  l.StdinMode,
		TTY:        l.TTY,
		Window:     l.Window,
		LogLimit:   logLimit(l.LogLimit),
		SyncWrites: l.SyncWrites,
		CgroupRoot: s.CgroupRoot,

		Timeout:      time.Duration(l.TimeoutMS) * time.Millisecond,
		TimeoutGrace: timeoutGrace(l.TimeoutGraceMS),
		KeepChildren: l.KeepChildren,
		Limits:       l.Limits,
	})
	if err != nil {
		if killErr := s.killLeftovers(l.ID); killErr != nil {
			err = errors.Join(err, killErr)
		}
		return s.failLaunch(l.ID, dir, &launchFailure{banger.StageLaunch, "cannot start session: " + err.Error(), err.Error()})
	}
	x := newSession(l.ID, dir, state.SessionState, s.push)
	s.register(x)
	s.tasks.Go(func() {
		s.watch(x, func() {})
		s.release(x)
		if s.ctx.Err() != nil {
			return // init adopts and reaps it
		}
		if err := child.Wait(); err != nil {
			s.Logger.Warn("shim has failed", "session", x.id, "cause", err)
		}
	})
	return x
}

// launchShim has a shim own a session.
func (s *server) launchShim(ctx context.Context, lock *os.File, l shim.Launch) (sessiondir.State, *shimclient.Child, error) {
	began := time.Now()
	defer func() { s.standby.next(time.Since(began)) }()
	process, err := s.standby.take()
	if err != nil {
		return sessiondir.State{}, nil, err
	}
	return process.Launch(ctx, lock, l)
}
