package session

import (
	"context"
	"errors"
	"time"

	"banger"
)

// launchPatience is how long a caller waits for a launch: as long as it tries to
// reach the guest, and as long as that takes to start a command.
const launchPatience = 2*time.Minute + 10*time.Second

var errNoAnswer = errors.New("the guest's answer is missing")

// awaitStart returns a session as soon as its launch has ended, well or not.
func (l *launcher) awaitStart(ctx context.Context, x banger.Session) (banger.Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, launchPatience, errNoAnswer)
	defer cancel()
	if h := l.launches.inHand(x.Key()); h != nil {
		select {
		case <-h.done:
			if h.record.ID != "" && h.record.Status != banger.StatusStarting {
				started := h.record
				started.Launch, started.EnvNames, started.LaunchCut = x.Launch, nil, false
				return started, nil
			}
		case <-ctx.Done(): // waitFor fails
		}
	}
	started, err := waitFor(ctx, l.store, x.Key(), func(x banger.Session) bool { return x.Status != banger.StatusStarting })
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		return x, banger.Errorf(banger.CodeUnavailable, "not known yet whether session %q was started: %w", x.Name, errNoAnswer).
			WithHint("banger session show reports it once the guest responds again")
	}
	return started, err
}

// settled returns a session that is not starting any more: one whose launch is
// in hand is waited for, one of an earlier daemon is settled.
func (l *launcher) settled(ctx context.Context, x banger.Session) (banger.Session, error) {
	switch {
	case x.Status != banger.StatusStarting:
		return x, nil
	case l.launches.claimed(x.Key()):
		return l.awaitStart(ctx, x)
	}
	if err := l.abandon(ctx, x); err != nil {
		return x, err
	}
	return l.store.GetSession(ctx, x.Key())
}

// launched waits for a launch that is in hand, and returns its session as the guest has
// answered, which is before the record tells it.
func (l *launcher) launched(ctx context.Context, x banger.Session) (banger.Session, error) {
	h := l.launches.inHand(x.Key())
	if h == nil {
		return l.store.GetSession(ctx, x.Key()) // it was in hand a moment ago, or is left to the next link
	}
	select {
	case <-h.answered:
		err := takeReport(&x, branchOf(x), h.report)
		return x, err
	case <-h.done:
		return l.store.GetSession(ctx, x.Key())
	case <-ctx.Done():
		return x, context.Cause(ctx)
	}
}
