package session

import (
	"context"
	"errors"

	"banger"
)

// errReached ends a watch whose condition holds.
var errReached = errors.New("condition reached")

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
	for {
		since, err := s.store.Revision(ctx) // before the record is read: nothing falls between
		if err != nil {
			return banger.Session{}, err
		}
		x, err := s.store.GetSession(ctx, id)
		if err != nil || done(x) {
			return x, err
		}
		removed := false
		err = s.store.WatchEvents(ctx, since, func(e banger.Event) error {
			if e.Session == nil || e.Session.ID != id {
				return nil
			}
			x, removed = *e.Session, e.Kind == banger.EventSessionDeleted
			if removed || done(x) {
				return errReached
			}
			return nil
		})
		switch {
		case removed:
			return x, banger.Errorf(banger.CodeGone, "cannot wait for session %q: it has been removed", x.Name)
		case errors.Is(err, errReached):
			return x, nil
		case banger.CodeOf(err) != banger.CodeGone:
			return x, err
		}
		// More happened than events are kept: look again.
	}
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
	return s.end(ctx, x, r)
}

// end has a session stopped in the guest and waits for its end. One that has
// ended is left as it is, unless it is killed and has left processes alive.
func (s *Service) end(ctx context.Context, x banger.Session, r banger.StopRequest) (banger.Session, error) {
	x, err := s.settled(ctx, x)
	if err != nil || x.Status.Ended() && (r.Grace > 0 || x.Survivors == nil) {
		return x, err
	}
	err = s.withGuest(ctx, x.VMID, func(g banger.Guest) error { return g.Stop(ctx, x.ID, r) })
	if banger.CodeOf(err) == banger.CodeNotFound {
		err = s.recordMissing(ctx, x.ID)
	}
	if err != nil {
		return x, err
	}
	return s.waitFor(ctx, x.ID, func(x banger.Session) bool { return x.Status.Ended() })
}
