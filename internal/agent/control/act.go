package control

import (
	"context"
	"errors"
	"os"
	"time"

	"banger"
	"banger/internal/agent/shimclient"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
)

// stop begins to end a session; a kill returns when it has ended, and ends the
// processes that outlived its command, too.
func (s *server) stop(ctx context.Context, p guestrpc.StopParams) (none, error) {
	if p.GraceMS < 0 || p.GraceMS > banger.MaxStopGrace.Milliseconds() {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot stop session: %d is not a grace period in milliseconds", p.GraceMS)
	}
	request := banger.StopRequest{Kill: p.GraceMS == 0, Grace: time.Duration(p.GraceMS) * time.Millisecond, By: p.By}
	x, err := s.find(p.ID)
	if err != nil {
		return nil, err
	}
	if err := x.awaitStart(ctx); err != nil {
		return nil, err
	}
	if !s.endedOnDisk(x) {
		err = shimclient.Stop(ctx, x.dir, request)
		if err != nil && !s.endedOnDisk(x) {
			return nil, unavailable(ctx, "cannot stop session", err)
		}
	}
	if !request.Kill {
		return nil, nil
	}
	// The command may have ended before the kill, and left processes alive on purpose.
	if err := x.await(ctx, banger.Status.Ended); err != nil {
		return nil, err
	}
	return nil, unavailable(ctx, "cannot kill what the session has left", s.killSurvivors(x))
}

// killSurvivors kills what an ended session has left alive on purpose, and takes it
// from its record. While its shim is about to go the error is sessiondir.ErrLocked.
func (s *server) killSurvivors(x *session) error {
	unlock := s.claims.Hold(x.id)
	defer unlock()
	if state, _ := x.current(); state.Survivors == nil {
		return nil
	}
	if err := s.killLeftovers(x.id); err != nil {
		return err
	}
	lock, err := sessiondir.TryLock(x.dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	state, err := sessiondir.ReadState(os.DirFS(x.dir))
	if err != nil {
		return err
	}
	state.Survivors = nil
	state.Sequence++
	if err := sessiondir.WriteState(x.dir, state); err != nil {
		return err
	}
	x.update(state.SessionState)
	return nil
}

// signal sends a signal to a running session.
func (s *server) signal(ctx context.Context, p guestrpc.SignalParams) (none, error) {
	x, err := s.find(p.Session)
	if err != nil {
		return nil, err
	}
	if err := x.awaitStart(ctx); err != nil {
		return nil, err
	}
	if !s.endedOnDisk(x) {
		err = shimclient.Signal(ctx, x.dir, p.GuestSignal)
		if err == nil || !errors.Is(err, shimclient.ErrNoShim) || !s.endedOnDisk(x) {
			return nil, unavailable(ctx, "cannot signal session", err)
		}
	}
	return nil, banger.Errorf(banger.CodeState, "cannot signal session: it has ended")
}

// inspect returns a session's state with the counters as they are now, if its shim
// can be asked, else as they were last reported.
func (s *server) inspect(ctx context.Context, p guestrpc.IDParams) (guestapi.GuestSession, error) {
	x, err := s.find(p.ID)
	if err != nil {
		return guestapi.GuestSession{}, err
	}
	known, _ := x.current()
	report := x.reportOf(known)
	if report.Status.Ended() || report.Status == banger.StatusStarting {
		return report, nil
	}
	state, err := shimclient.Inspect(ctx, x.dir)
	if err != nil {
		return report, ctx.Err()
	}
	return x.reportOf(state), nil
}

// remove deletes an ended session with its logs.
func (s *server) remove(_ context.Context, p guestrpc.IDParams) (none, error) {
	if !banger.ValidID(string(p.ID)) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot remove session %.40q: not a session id", string(p.ID))
	}
	unlock := s.claims.Hold(p.ID)
	defer unlock()
	x := s.takeIn(p.ID)
	if x == nil {
		return nil, nil
	}
	if !s.endedOnDisk(x) {
		state, _ := x.current()
		return nil, banger.Errorf(banger.CodeState, "cannot remove session %s: it is %s", p.ID, state.Status).WithHint("stop or kill it first")
	}
	if state, _ := x.current(); state.Survivors != nil {
		if err := s.killLeftovers(x.id); err != nil {
			return nil, err
		}
	}
	if err := sessiondir.Remove(x.dir); err != nil {
		return nil, err
	}
	s.forget(p.ID)
	return nil, nil
}

// awaitStart returns when a session that another control server is launching has
// been launched.
func (x *session) awaitStart(ctx context.Context) error {
	return x.await(ctx, func(s banger.Status) bool { return s != banger.StatusStarting })
}

// await returns when the status of a session is one that is awaited.
func (x *session) await(ctx context.Context, awaited func(banger.Status) bool) error {
	for {
		state, changed := x.current()
		if awaited(state.Status) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// endedOnDisk reports whether a session has ended, by its own record if the news
// has not arrived yet.
func (s *server) endedOnDisk(x *session) bool {
	if x.ended() {
		return true
	}
	state, err := sessiondir.ReadState(os.DirFS(x.dir))
	if err != nil || !state.Status.Ended() {
		return false
	}
	x.update(state.SessionState)
	return true
}

// unavailable gives an error that has no code the one for a shim that cannot be
// reached.
func unavailable(ctx context.Context, what string, err error) error {
	var coded *banger.Error
	if err == nil || ctx.Err() != nil || errors.As(err, &coded) {
		return err
	}
	return banger.Errorf(banger.CodeUnavailable, "%s: %w", what, err)
}
