package session

import (
	"context"
	"errors"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/vmm"
)

// reachTimeout is how long a launch tries to reach the guest. The answer to a
// request that has reached it is awaited as long as the link lives.
const reachTimeout = 60 * time.Second

// Between two attempts to settle a launch.
const (
	minSettlePause = time.Second
	maxSettlePause = 30 * time.Second
)

// launch is one that this process has in hand: nobody else settles its session.
type launch struct {
	key    string          // the idempotency key that was asked with
	ctx    context.Context // ends when its machine or the service does
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it has been given up

	answered chan struct{}         // closed when the guest has answered
	report   guestapi.GuestSession // its answer

	record banger.Session // in short, as it was last changed; guarded by Service.mu until done is closed
}

// claim takes a launch in hand, before its record exists.
func (s *Service) claim(id banger.SessionID, key string) *launch {
	l := &launch{key: key, done: make(chan struct{}), answered: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.launches[id] = l
	return l
}

// release gives a launch up.
func (s *Service) release(id banger.SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.launches[id]
	l.cancel(nil)
	close(l.done)
	delete(s.launches, id)
}

// inHand returns a session's launch, nil if it is not in hand.
func (s *Service) inHand(id banger.SessionID) *launch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.launches[id]
}

// claimed reports whether a session's launch is in hand.
func (s *Service) claimed(id banger.SessionID) bool { return s.inHand(id) != nil }

// recorded has a launch that is in hand know its record.
func (s *Service) recorded(x banger.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.launches[x.ID]; l != nil {
		l.record = x
	}
}

// launched waits for a launch that is in hand, and returns its session as the guest has
// answered, which is before the record tells it.
func (s *Service) launched(ctx context.Context, x banger.Session) (banger.Session, error) {
	l := s.inHand(x.ID)
	if l == nil {
		return s.store.GetSession(ctx, x.ID) // it was in hand a moment ago, or is left to the next link
	}
	select {
	case <-l.answered:
		err := takeReport(&x, x.VMID, l.report)
		return x, err
	case <-l.done:
		return s.store.GetSession(ctx, x.ID)
	case <-ctx.Done():
		return x, context.Cause(ctx)
	}
}

// interrupt has a launch given up whose machine has ended, if it is in hand, and
// returns when nobody has it in hand any more.
func (s *Service) interrupt(ctx context.Context, id banger.SessionID) error {
	l := s.inHand(id)
	if l == nil {
		return nil
	}
	l.cancel(errMachineEnded)
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errMachineEnded = errors.New("the machine has ended")

// carryOut runs a launch until its record reports how it went. It is given up only
// if its machine ends, and then MachineEnded settles it, or if the service closes,
// and then the next daemon does.
func (s *Service) carryOut(l *launch, x banger.Session, secrets banger.SecretEnv) {
	defer s.release(x.ID)
	err := s.tryLaunch(l, x, secrets)
	for pause := minSettlePause; isUnsettled(err) && l.ctx.Err() == nil; pause = min(2*pause, maxSettlePause) {
		s.log.Warn("launch is unsettled", "session", x.ID, "cause", err)
		select {
		case <-l.ctx.Done():
		case <-time.After(pause):
			err = s.abandon(l.ctx, x)
		}
	}
	if isUnsettled(err) {
		s.log.Warn("launch is left to the next link", "session", x.ID, "cause", err)
	}
}

// isUnsettled reports whether a launch must continue: not if its record was removed.
func isUnsettled(err error) bool { return err != nil && banger.CodeOf(err) != banger.CodeNotFound }

// tryLaunch asks the guest to start a session until it answers. A guest that
// could not be reached has not started it, and the launch has failed. An error
// means that the answer to a request is missing.
func (s *Service) tryLaunch(l *launch, x banger.Session, secrets banger.SecretEnv) error {
	ctx := l.ctx
	reach, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	asked, answered := false, false
	var report guestapi.GuestSession
	err := s.withGuest(reach, x.VMID, func(g guestapi.Guest) (err error) {
		asked = true
		report, err = g.Launch(ctx, l.spec(x, secrets))
		answered = ctx.Err() == nil && banger.CodeOf(err) != banger.CodeUnavailable
		return err
	})
	store := context.WithoutCancel(ctx)
	switch {
	case err == nil:
		l.report = report
		close(l.answered)
		return s.apply(store, x.VMID, report)
	case !asked:
		stage := banger.StageSSHUnavailable
		if e, ok := errors.AsType[*vmm.StageError](err); ok {
			stage = e.Stage
		}
		return s.failLaunch(store, x.ID, stage, err)
	case answered:
		return s.failLaunch(store, x.ID, banger.StageLaunch, err)
	}
	return err
}

// spec is what the guest gets; it keeps all of that but the secrets.
func (l *launch) spec(x banger.Session, secrets banger.SecretEnv) guestapi.GuestLaunch {
	return guestapi.GuestLaunch{
		ID: x.ID, VMID: x.VMID, Name: x.Name, Tags: x.Tags, IdempotencyKey: l.key, CreatedAt: x.CreatedAt, Launch: x.Launch, SecretEnv: secrets,
	}
}

// abandon makes sure that a session without an answer either has started or
// never will, and records which.
func (s *Service) abandon(ctx context.Context, x banger.Session) error {
	var report guestapi.GuestSession
	err := s.withGuest(ctx, x.VMID, func(g guestapi.Guest) (err error) {
		report, err = g.Abandon(ctx, x.ID)
		return err
	})
	if err != nil {
		return err
	}
	return s.apply(context.WithoutCancel(ctx), x.VMID, report)
}

// failLaunch records that a session never ran.
func (s *Service) failLaunch(ctx context.Context, id banger.SessionID, stage banger.LaunchStage, cause error) error {
	return s.update(ctx, id, func(x *banger.Session) error {
		if x.Status == banger.StatusStarting { // else the guest knew better in the meantime
			fail(x, banger.EndedByLaunch)
			x.LaunchStage, x.LaunchMessage = stage, cause.Error()
		}
		return nil
	})
}
