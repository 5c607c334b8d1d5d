package session

import (
	"context"
	"errors"
	"log/slog"
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

// launcher launches sessions.
type launcher struct {
	store    Store
	reach    *reach
	launches *launches
	recorder *recorder
	tasks    *tasks
	log      *slog.Logger
}

// launch stores a session and begins to launch it, unless its key stands for another one
// already, which is returned then.
func (l *launcher) launch(ctx context.Context, x banger.Session, key string, secrets banger.SecretEnv) (banger.Session, error) {
	h := l.launches.claim(x.Key(), key)
	stored, created, err := l.store.CreateSession(ctx, x, key)
	if !created {
		l.launches.release(x.Key())
	}
	if err != nil {
		return banger.Session{}, err
	}
	if created {
		l.tasks.work.Go(func() { l.carryOut(h, stored, secrets) })
	}
	return stored, nil
}

// carryOut runs a launch until its record reports how it went. It is given up only
// if its machine ends, and then MachineEnded settles it, or if the service closes,
// and then the next daemon does.
func (l *launcher) carryOut(h *launch, x banger.Session, secrets banger.SecretEnv) {
	defer l.launches.release(x.Key())
	err := l.tryLaunch(h, x, secrets)
	for pause := minSettlePause; isUnsettled(err) && h.ctx.Err() == nil; pause = min(2*pause, maxSettlePause) {
		l.log.Warn("launch is unsettled", "session", x.ID, "cause", err)
		select {
		case <-h.ctx.Done():
		case <-time.After(pause):
			err = l.abandon(h.ctx, x)
		}
	}
	if isUnsettled(err) {
		l.log.Warn("launch is left to the next link", "session", x.ID, "cause", err)
	}
}

// isUnsettled reports whether a launch must continue: not if its record was removed.
func isUnsettled(err error) bool { return err != nil && banger.CodeOf(err) != banger.CodeNotFound }

// tryLaunch asks the guest to start a session until it answers. A guest that
// could not be reached has not started it, and the launch has failed. An error
// means that the answer to a request is missing.
func (l *launcher) tryLaunch(h *launch, x banger.Session, secrets banger.SecretEnv) error {
	ctx := h.ctx
	reach, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	asked, answered := false, false
	var report guestapi.GuestSession
	err := l.reach.withGuest(reach, x.VMID, func(g guestapi.Guest) (err error) {
		asked = true
		report, err = g.Launch(ctx, h.spec(x, secrets))
		answered = ctx.Err() == nil && banger.CodeOf(err) != banger.CodeUnavailable
		return err
	})
	store := context.WithoutCancel(ctx)
	switch {
	case err == nil:
		h.report = report
		close(h.answered)
		return l.recorder.apply(store, branchOf(x), report)
	case !asked:
		stage := banger.StageSSHUnavailable
		if e, ok := errors.AsType[*vmm.StageError](err); ok {
			stage = e.Stage
		}
		return l.recorder.failLaunch(store, x, stage, err)
	case answered:
		return l.recorder.failLaunch(store, x, banger.StageLaunch, err)
	}
	return err
}

// abandon makes sure that a session without an answer either has started or
// never will, and records which.
func (l *launcher) abandon(ctx context.Context, x banger.Session) error {
	var report guestapi.GuestSession
	err := l.reach.withGuest(ctx, x.VMID, func(g guestapi.Guest) (err error) {
		report, err = g.Abandon(ctx, x.ID)
		return err
	})
	if err != nil {
		return err
	}
	return l.recorder.apply(context.WithoutCancel(ctx), branchOf(x), report)
}
