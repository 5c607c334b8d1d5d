package session

import (
	"context"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/records"
)

// Sessions implements banger.SessionService.
type Sessions struct {
	finder   *finder
	reach    *reach
	launcher *launcher
	control  *Control
	remover  *remover
	clock    Clock
}

// GetSession implements banger.SessionService.
func (s *Sessions) GetSession(ctx context.Context, vmRef, ref string) (banger.Session, error) {
	return s.finder.session(ctx, vmRef, ref)
}

// InspectSession implements banger.SessionService.
func (s *Sessions) InspectSession(ctx context.Context, vmRef, ref string) (banger.Session, error) {
	x, err := s.finder.session(ctx, vmRef, ref)
	if err != nil || x.Status.Ended() || x.Status == banger.StatusStarting {
		return x, err
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	_ = s.reach.withGuest(ctx, x.VMID, func(g guestapi.Guest) error { // the record is an answer, too
		now, err := g.Inspect(ctx, x.ID)
		if err == nil && records.CheckTransition(x.SessionState, now.SessionState) == nil {
			x.SessionState = now.SessionState
		}
		return err
	})
	return x, nil
}

// inspectTimeout is how long the counters of a session are waited for.
const inspectTimeout = 2 * time.Second

// RemoveSession implements banger.SessionService.
func (s *Sessions) RemoveSession(ctx context.Context, vmRef, ref string, force bool) error {
	x, err := s.finder.session(ctx, vmRef, ref)
	if err != nil {
		return err
	}
	if !x.Status.Ended() {
		if !force {
			return banger.Errorf(banger.CodeState, "cannot remove session %q: it is %s", x.Name, x.Status).
				WithHint("end it first with session stop or kill, or remove it with --force")
		}
		if _, err := s.control.end(ctx, x, banger.StopRequest{Kill: true}); err != nil {
			return err
		}
	}
	return s.remover.remove(ctx, x)
}

// WaitSession implements banger.SessionService.
func (s *Sessions) WaitSession(ctx context.Context, vmRef, ref string) (banger.Session, error) {
	x, err := s.finder.session(ctx, vmRef, ref)
	if err != nil {
		return x, err
	}
	return waitFor(ctx, s.finder.store, x.Key(), func(x banger.Session) bool { return x.Status.Ended() })
}
