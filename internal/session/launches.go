package session

import (
	"context"
	"errors"
	"sync"

	"banger"
	"banger/internal/guestapi"
)

// launches are those that this process has in hand. Safe for concurrent use.
type launches struct {
	ctx context.Context // they end with it

	mu   sync.Mutex // guards hand
	hand map[banger.SessionKey]*launch
}

func newLaunches(ctx context.Context) *launches {
	return &launches{ctx: ctx, hand: map[banger.SessionKey]*launch{}}
}

// launch is one that this process has in hand: nobody else settles its session.
type launch struct {
	key    string          // the idempotency key that was asked with
	ctx    context.Context // ends when its machine or the service does
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it has been given up

	answered chan struct{}         // closed when the guest has answered
	report   guestapi.GuestSession // its answer

	record banger.Session // in short, as it was last changed; guarded by launches.mu until done is closed
}

// claim takes a launch in hand, before its record exists.
func (h *launches) claim(key banger.SessionKey, idempotencyKey string) *launch {
	l := &launch{key: idempotencyKey, done: make(chan struct{}), answered: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(h.ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hand[key] = l
	return l
}

// release gives a launch up.
func (h *launches) release(key banger.SessionKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.hand[key]
	l.cancel(nil)
	close(l.done)
	delete(h.hand, key)
}

// inHand returns a session's launch, nil if it is not in hand.
func (h *launches) inHand(key banger.SessionKey) *launch {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hand[key]
}

// claimed reports whether a session's launch is in hand.
func (h *launches) claimed(key banger.SessionKey) bool { return h.inHand(key) != nil }

// recorded has a launch that is in hand know its record.
func (h *launches) recorded(x banger.Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.hand[x.Key()]; l != nil {
		l.record = x
	}
}

// interrupt has a launch given up whose machine has ended, if it is in hand, and
// returns when nobody has it in hand any more.
func (h *launches) interrupt(ctx context.Context, key banger.SessionKey) error {
	l := h.inHand(key)
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

// spec is what the guest gets; it keeps all of that but the secrets.
func (l *launch) spec(x banger.Session, secrets banger.SecretEnv) guestapi.GuestLaunch {
	return guestapi.GuestLaunch{
		ID: x.ID, VMID: x.VMID, Name: x.Name, Tags: x.Tags, IdempotencyKey: l.key, CreatedAt: x.CreatedAt, Launch: x.Launch, SecretEnv: secrets,
	}
}
