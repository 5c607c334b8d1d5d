package session

import (
	"context"
	"time"

	"banger"
)

// Time limits of a launch: to reach the guest and get its answer, and to ask
// what became of one without an answer.
const (
	linkTimeout   = 60 * time.Second
	settleTimeout = 5 * time.Second
)

// StartSession implements banger.SessionService. Once the record is stored the
// launch goes on without ctx: a client that goes away finds the session later.
func (s *Service) StartSession(ctx context.Context, vmRef string, r banger.SessionRequest) (banger.Session, error) {
	if r.StdinMode == "" {
		r.StdinMode = banger.StdinClosed
		if r.TTY {
			r.StdinMode = banger.StdinPipe
		}
	}
	if err := r.Validate(); err != nil {
		return banger.Session{}, err
	}
	vm, err := s.vm(ctx, vmRef)
	if err != nil {
		return banger.Session{}, err
	}
	if vm.State != banger.VMRunning {
		return banger.Session{}, banger.Errorf(banger.CodeState, "cannot start session: VM %s is %s", vm.Name, vm.State).
			WithHint("start it with: banger vm start %s", vm.Name)
	}
	x := newSession(vm.ID, r)
	s.claim(x.ID)
	x, created, err := s.store.CreateSession(ctx, x, r.IdempotencyKey)
	if err != nil || !created {
		s.unclaim(x.ID)
		if err != nil {
			return banger.Session{}, err
		}
		return s.waitFor(ctx, x.ID, func(x banger.Session) bool { return x.Status != banger.StatusStarting })
	}
	return s.launch(ctx, x)
}

// launch runs the launch of a stored session to its end and waits for that as
// long as ctx lives.
func (s *Service) launch(ctx context.Context, x banger.Session) (banger.Session, error) {
	type result struct {
		session banger.Session
		err     error
	}
	done := make(chan result, 1)
	s.launches.Go(func() {
		defer s.unclaim(x.ID)
		session, err := s.launchInGuest(s.ctx, x)
		if err != nil {
			s.log.Warn("launch is unsettled", "session", x.ID, "cause", err)
		}
		done <- result{session, err}
	})
	select {
	case r := <-done:
		return r.session, r.err
	case <-ctx.Done():
		return x, context.Cause(ctx)
	}
}

// launchInGuest asks the guest to start a session until it answers. A guest
// that could not be reached has not started it, and the launch has failed; if
// the answer to a request is missing, the next link settles it.
func (s *Service) launchInGuest(ctx context.Context, x banger.Session) (banger.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	asked := false
	var report banger.GuestSession
	err := s.withGuest(ctx, x.VMID, func(g banger.Guest) (err error) {
		asked = true
		report, err = g.Launch(ctx, banger.GuestLaunch{ID: x.ID, Name: x.Name, Tags: x.Tags, CreatedAt: x.CreatedAt, Launch: x.Launch})
		return err
	})
	store := context.WithoutCancel(ctx)
	switch {
	case err == nil:
		return s.apply(store, x.VMID, report)
	case !asked:
		return s.failLaunch(store, x.ID, banger.StageSSHUnavailable, err)
	case banger.CodeOf(err) == banger.CodeUnavailable || ctx.Err() != nil:
		if settled, ok := s.settleLaunch(store, x); ok {
			return settled, nil
		}
		return x, banger.Errorf(banger.CodeUnavailable,
			"cannot tell yet whether session %q was started: the guest's answer is missing: %w", x.Name, err).
			WithHint("banger session show tells it once the guest answers again")
	default:
		return s.failLaunch(store, x.ID, banger.StageLaunch, err)
	}
}

// settleLaunch asks once more what became of a launch without an answer, if the
// link is up; if it is not, the next GuestUp asks.
func (s *Service) settleLaunch(ctx context.Context, x banger.Session) (banger.Session, bool) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	guest, err := s.guests.Guest(ctx, x.VMID)
	if err != nil {
		return x, false
	}
	report, err := guest.Abandon(ctx, x.ID)
	if err != nil {
		return x, false
	}
	settled, err := s.apply(ctx, x.VMID, report)
	return settled, err == nil
}

// failLaunch records that a session never ran.
func (s *Service) failLaunch(ctx context.Context, id banger.SessionID, stage banger.LaunchStage, cause error) (banger.Session, error) {
	return s.store.UpdateSession(ctx, id, func(x *banger.Session) error {
		if x.Status != banger.StatusStarting {
			return nil // the guest knew better in the meantime
		}
		x.Status, x.EndedBy, x.EndedAt = banger.StatusFailed, banger.EndedByLaunch, time.Now().UTC()
		x.LaunchStage, x.LaunchMessage = stage, cause.Error()
		return nil
	})
}

// claim notes that this process has a launch in hand, before its record exists.
func (s *Service) claim(id banger.SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.launching[id] = struct{}{}
}

func (s *Service) unclaim(id banger.SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.launching, id)
}

func (s *Service) claimed(id banger.SessionID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.launching[id]
	return ok
}
