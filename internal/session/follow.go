package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"banger"
)

// Guest returns the handler of what one VM's guest reports.
func (s *Service) Guest(id banger.VMID) banger.GuestHandler { return &follower{s, id} }

// follower brings the records of one VM's sessions in line with its guest.
type follower struct {
	*Service
	vm banger.VMID
}

// GuestUp implements banger.GuestHandler: one reconciling list after each
// reconnect.
func (f *follower) GuestUp(ctx context.Context, _ banger.GuestHello, g banger.Guest, reports []banger.GuestSession) error {
	known := map[banger.SessionID]bool{}
	for _, r := range reports {
		known[r.ID] = true
		if err := f.GuestChanged(ctx, r); err != nil {
			return err
		}
	}
	sessions, err := f.store.ListSessions(ctx, f.vm)
	if err != nil {
		return err
	}
	for _, x := range sessions {
		if x.Status.Ended() || known[x.ID] {
			continue
		}
		if err := f.settle(ctx, g, x); err != nil {
			return fmt.Errorf("cannot settle session %s: %w", x.ID, err)
		}
	}
	return nil
}

// GuestChanged implements banger.GuestHandler.
func (f *follower) GuestChanged(ctx context.Context, r banger.GuestSession) error {
	_, err := f.apply(ctx, f.vm, r)
	switch banger.CodeOf(err) {
	case banger.CodeNotFound:
		f.log.Warn("guest reports a session that has no record", "vm", f.vm, "session", r.ID)
		return nil
	case banger.CodeState:
		f.log.Warn("guest reports an impossible change", "vm", f.vm, "session", r.ID, "cause", err)
		return nil
	}
	return err
}

// settle decides what became of a session that the guest has no directory of.
func (f *follower) settle(ctx context.Context, g banger.Guest, x banger.Session) error {
	if f.claimed(x.ID) {
		return nil // its launch is on its way
	}
	if x.Status == banger.StatusStarting {
		report, err := g.Abandon(ctx, x.ID)
		if err != nil {
			return err
		}
		_, err = f.apply(ctx, f.vm, report)
		return err
	}
	_, err := f.store.UpdateSession(ctx, x.ID, func(x *banger.Session) error {
		if !x.Status.Ended() {
			x.Status, x.EndedBy, x.EndedAt = banger.StatusFailed, banger.EndedByShimLost, time.Now().UTC()
			x.LastError = "the guest has no record of it any more; its end cannot be known"
		}
		return nil
	})
	return err
}

// apply copies a guest's report into the record, unless the record is newer.
func (s *Service) apply(ctx context.Context, vm banger.VMID, r banger.GuestSession) (banger.Session, error) {
	return s.store.UpdateSession(ctx, r.ID, func(x *banger.Session) error {
		if x.VMID != vm {
			return banger.Errorf(banger.CodeNotFound, "cannot update session %s: it belongs to another VM", r.ID)
		}
		if r.Sequence <= x.Sequence {
			return nil
		}
		if err := x.SessionState.CheckTransition(r.SessionState); err != nil {
			return err
		}
		x.SessionState = r.SessionState
		return nil
	})
}

// MachineEnded records the end of all sessions that ran in a machine, as cause
// says. The guest's own records correct it at the next boot.
func (s *Service) MachineEnded(ctx context.Context, vm banger.VMID, cause banger.EndedBy) error {
	sessions, err := s.store.ListSessions(ctx, vm)
	if err != nil {
		return err
	}
	var errs []error
	for _, x := range sessions {
		if x.Status.Ended() || s.claimed(x.ID) {
			continue
		}
		_, err := s.store.UpdateSession(ctx, x.ID, func(x *banger.Session) error {
			if !x.Status.Ended() {
				x.Status, x.EndedBy, x.EndedAt = banger.StatusFailed, cause, time.Now().UTC()
			}
			return nil
		})
		if banger.CodeOf(err) != banger.CodeNotFound {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
