package control

import (
	"context"
	"errors"
	"os"
	"time"

	"banger"
	"banger/internal/agent/shimclient"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
)

// stopper ends sessions, and sends them signals.
type stopper struct {
	registry  *registry
	leftovers leftovers
}

// stop begins to end a session; a kill returns when it has ended, and ends the
// processes that outlived its command, too.
func (s *stopper) stop(ctx context.Context, p guestrpc.StopParams) (none, error) {
	if p.GraceMS < 0 || p.GraceMS > banger.MaxStopGrace.Milliseconds() {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot stop session: %d is not a grace period in milliseconds", p.GraceMS)
	}
	request := banger.StopRequest{Kill: p.GraceMS == 0, Grace: time.Duration(p.GraceMS) * time.Millisecond, By: p.By}
	x, err := s.registry.find(p.ID)
	if err != nil {
		return nil, err
	}
	if err := x.awaitStart(ctx); err != nil {
		return nil, err
	}
	if !x.endedOnDisk() {
		err = shimclient.Stop(ctx, x.dir, request)
		if err != nil && !x.endedOnDisk() {
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
func (s *stopper) killSurvivors(x *session) error {
	unlock := s.registry.claim(x.id)
	defer unlock()
	if state, _ := x.current(); state.Survivors == nil {
		return nil
	}
	if err := s.leftovers.kill(x.id); err != nil {
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
func (s *stopper) signal(ctx context.Context, p guestrpc.SignalParams) (none, error) {
	x, err := s.registry.find(p.Session)
	if err != nil {
		return nil, err
	}
	if err := x.awaitStart(ctx); err != nil {
		return nil, err
	}
	if !x.endedOnDisk() {
		err = shimclient.Signal(ctx, x.dir, p.GuestSignal)
		if err == nil || !errors.Is(err, shimclient.ErrNoShim) || !x.endedOnDisk() {
			return nil, unavailable(ctx, "cannot signal session", err)
		}
	}
	return nil, banger.Errorf(banger.CodeState, "cannot signal session: it has ended")
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
