package session

import (
	"context"
	"errors"
	"time"

	"banger"
	"banger/internal/records"
)

// launchPatience is how long a caller waits for a launch: as long as it tries to
// reach the guest, and as long as that takes to start a command.
const launchPatience = 2*time.Minute + 10*time.Second

var errNoAnswer = errors.New("the guest's answer is missing")

// StartSession implements banger.SessionService. Once the record is stored the
// launch continues without ctx: a client that goes away finds the session later.
func (s *Service) StartSession(ctx context.Context, vmRef string, r banger.SessionRequest) (banger.Session, error) {
	if r.StdinMode == "" {
		r.StdinMode = banger.StdinClosed
		if r.TTY {
			r.StdinMode = banger.StdinPipe
		}
	}
	if r.Args == nil {
		r.Args = []banger.ByteString{} // it is told as a list
	}
	if err := r.Validate(); err != nil {
		return banger.Session{}, err
	}
	vm, err := s.vm(ctx, vmRef)
	if err != nil {
		return banger.Session{}, err
	}
	if vm.SessionsUnknown {
		// What is asked for may be one of them.
		if err := s.awaitKnown(ctx, vm, "start session"); err != nil {
			return banger.Session{}, err
		}
	}
	if vm.State != banger.VMRunning {
		if first, err := s.store.FindSession(ctx, vm.ID, r.IdempotencyKey); err == nil {
			return first, nil // what was asked for has been done
		}
		if err := records.CheckNotPaused(vm, "start", "session"); err != nil {
			return banger.Session{}, err
		}
		return banger.Session{}, banger.Errorf(banger.CodeState, "cannot start session: VM %s is %s", vm.Name, vm.State).
			WithHint("start it with: banger vm start %s", vm.Name)
	}
	x := newSession(vm.ID, r)
	l := s.claim(x.ID, r.IdempotencyKey)
	stored, created, err := s.store.CreateSession(ctx, x, r.IdempotencyKey)
	if !created {
		s.release(x.ID)
	}
	if err != nil {
		return banger.Session{}, err
	}
	if created {
		s.work.Go(func() { s.carryOut(l, stored, r.SecretEnv) })
	}
	if r.NoWait {
		return stored, nil
	}
	return s.awaitStart(ctx, stored)
}

// awaitStart returns a session as soon as its launch has ended, well or not.
func (s *Service) awaitStart(ctx context.Context, x banger.Session) (banger.Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, launchPatience, errNoAnswer)
	defer cancel()
	if l := s.inHand(x.ID); l != nil {
		select {
		case <-l.done:
			if l.record.ID != "" && l.record.Status != banger.StatusStarting {
				started := l.record
				started.Launch, started.EnvNames, started.LaunchCut = x.Launch, nil, false
				return started, nil
			}
		case <-ctx.Done(): // waitFor fails
		}
	}
	started, err := s.waitFor(ctx, x.ID, func(x banger.Session) bool { return x.Status != banger.StatusStarting })
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		return x, banger.Errorf(banger.CodeUnavailable, "not known yet whether session %q was started: %w", x.Name, errNoAnswer).
			WithHint("banger session show reports it once the guest responds again")
	}
	return started, err
}

// settled returns a session that is not starting any more: one whose launch is
// in hand is waited for, one of an earlier daemon is settled.
func (s *Service) settled(ctx context.Context, x banger.Session) (banger.Session, error) {
	switch {
	case x.Status != banger.StatusStarting:
		return x, nil
	case s.claimed(x.ID):
		return s.awaitStart(ctx, x)
	}
	if err := s.abandon(ctx, x); err != nil {
		return x, err
	}
	return s.store.GetSession(ctx, x.ID)
}
