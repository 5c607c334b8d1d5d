package session

import (
	"context"

	"banger"
	"banger/internal/guestapi"
)

// WaitSession implements banger.SessionService.
func (s *Service) WaitSession(ctx context.Context, vmRef, ref string) (banger.Session, error) {
	x, err := s.GetSession(ctx, vmRef, ref)
	if err != nil {
		return x, err
	}
	return s.waitFor(ctx, x.ID, func(x banger.Session) bool { return x.Status.Ended() })
}

// waitFor returns a session as soon as done says so.
func (s *Service) waitFor(ctx context.Context, id banger.SessionID, done func(banger.Session) bool) (banger.Session, error) {
	x, err := s.store.WaitSession(ctx, id, done)
	if err != nil {
		return x, err
	}
	whole, err := s.store.GetSession(ctx, id)
	if banger.CodeOf(err) == banger.CodeNotFound {
		return x, nil // it has come to that, and been removed since
	}
	return whole, err
}

// StopSession implements banger.SessionControl.
func (s *Service) StopSession(ctx context.Context, vmRef, ref string, r banger.StopRequest) (banger.Session, error) {
	if err := r.Validate(); err != nil {
		return banger.Session{}, err
	}
	x, err := s.GetSession(ctx, vmRef, ref)
	if err != nil {
		return x, err
	}
	return s.end(ctx, x, r.WithDefaults())
}

// end has a session stopped in the guest and waits for its end. One that has
// ended is left as it is, unless it is killed and has left processes alive.
func (s *Service) end(ctx context.Context, x banger.Session, r banger.StopRequest) (banger.Session, error) {
	x, err := s.settled(ctx, x)
	if err != nil || x.Status.Ended() && (!r.Kill || x.Survivors == nil) {
		return x, err
	}
	err = s.withGuest(ctx, x.VMID, func(g guestapi.Guest) error { return g.Stop(ctx, x.ID, r) })
	if banger.CodeOf(err) == banger.CodeNotFound {
		err = s.recordMissing(ctx, x.ID)
	}
	if err != nil {
		return x, err
	}
	return s.waitFor(ctx, x.ID, func(x banger.Session) bool { return x.Status.Ended() })
}
