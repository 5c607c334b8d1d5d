package session

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"banger"
)

// keeper removes ended sessions as a policy says. It looks at the sessions of a VM when
// one of them has ended, when its guest has come up, and when the next one gets too old:
// a VM that cannot be reached is looked at again when it can. All its times are those of
// clock. A nil keeper does nothing.
type keeper struct {
	store   Store
	remover *remover
	clock   Clock
	policy  banger.Retention
	log     *slog.Logger
	wake    chan struct{} // has an element after due has changed

	mu  sync.Mutex                // guards due
	due map[banger.VMID]time.Time // when to look at which VM
}

// newKeeper returns nil for a policy that removes nothing.
func newKeeper(policy banger.Retention, clock Clock, store Store, remover *remover, log *slog.Logger) *keeper {
	if policy.IsZero() {
		return nil
	}
	return &keeper{
		store: store, remover: remover, clock: clock, policy: policy, log: log,
		wake: make(chan struct{}, 1), due: map[banger.VMID]time.Time{},
	}
}

// lookNow makes the keeper look at a VM soon.
func (k *keeper) lookNow(vm banger.VMID) {
	if k != nil {
		k.look(vm, k.clock.Now())
	}
}

// look makes the keeper look at a VM at a time, if it does not do so before.
func (k *keeper) look(vm banger.VMID, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before, ok := k.due[vm]; ok && before.Before(at) {
		return
	}
	k.due[vm] = at
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// maxRest is how long the keeper rests at most: a timer does not run while the host is
// suspended, and the clock is to be saved now and then.
const maxRest = time.Hour

// run looks at each VM when it is due, until ctx ends.
func (k *keeper) run(ctx context.Context) {
	defer k.save()
	for ctx.Err() == nil {
		now := k.clock.Now()
		vm, at, found := k.first(now)
		if found && !at.After(now) {
			k.prune(ctx, vm)
			continue
		}
		rest := maxRest
		if found {
			rest = min(rest, at.Sub(now))
		}
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
			k.save()
		case <-k.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (k *keeper) save() {
	if err := k.clock.Save(); err != nil {
		k.log.Warn("cannot save the clock that ages are counted by", "cause", err)
	}
}

// first returns the VM that is due first; found is false if there is none. One whose time
// has come is not due any more.
func (k *keeper) first(now time.Time) (vm banger.VMID, at time.Time, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, t := range k.due {
		if !found || t.Before(at) {
			vm, at, found = id, t, true
		}
	}
	if found && !at.After(now) {
		delete(k.due, vm)
	}
	return vm, at, found
}

// prune removes what the policy gives up of a VM's sessions.
func (k *keeper) prune(ctx context.Context, vm banger.VMID) {
	sessions, err := k.store.ListSessions(ctx, vm)
	if err != nil {
		k.log.Error("cannot look for sessions that are kept too long", "vm", vm, "cause", err)
		return
	}
	gone, next := expire(sessions, k.policy, k.clock.Now())
	for i, err := range k.remover.removeExpired(ctx, vm, gone, false) {
		x := gone[i]
		if err != nil {
			k.log.Info("session is left until its VM can be reached", "vm", vm, "session", x.ID, "why", x.reason, "cause", err)
			continue
		}
		k.log.Info("session is kept no longer", "vm", vm, "session", x.ID, "name", x.Name, "why", x.reason)
	}
	if !next.IsZero() {
		k.look(vm, next)
	}
}
