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
	"banger/sessionstream"
)

// stop begins to end a session. One that has ended is left as it is.
func (s *server) stop(ctx context.Context, p guestrpc.StopParams) (none, error) {
	if p.GraceMS < 0 || p.GraceMS > sessionstream.MaxGrace.Milliseconds() {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot stop session: %d is no grace time in milliseconds", p.GraceMS)
	}
	x, err := s.find(p.ID)
	if err != nil {
		return nil, err
	}
	if err := x.awaitStart(ctx); err != nil {
		return nil, err
	}
	if x.ended() {
		return nil, nil
	}
	err = shimclient.Stop(ctx, x.dir, time.Duration(p.GraceMS)*time.Millisecond)
	if err == nil || s.endedOnDisk(x) {
		return nil, nil
	}
	return nil, unavailable(ctx, "cannot stop session", err)
}

// remove deletes an ended session with its logs.
func (s *server) remove(_ context.Context, p guestrpc.IDParams) (none, error) {
	if !banger.ValidID(string(p.ID)) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot remove session %.40q: that is no session id", string(p.ID))
	}
	unlock := s.claims.lock(p.ID)
	defer unlock()
	x := s.takeIn(p.ID)
	if x == nil {
		return nil, nil
	}
	if !s.endedOnDisk(x) {
		state, _ := x.current()
		return nil, banger.Errorf(banger.CodeState, "cannot remove session %s: it is %s", p.ID, state.Status).WithHint("stop or kill it first")
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
	for {
		state, changed := x.current()
		if state.Status != banger.StatusStarting {
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
