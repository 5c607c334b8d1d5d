package guest

import (
	"sync"

	"github.com/creachadair/jrpc2"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/guestrpc"
)

// changes holds the newest state of each session that has changed since it was
// last taken. It is a map and not a queue, so that a guest that reports faster
// than the store writes costs no memory; the states in between are not missed. Only
// sessions that the host has asked about count: a guest can invent any number of others.
type changes struct {
	wake   chan struct{} // has one element while there is something to take
	budget *guestbudget.Bytes

	mu       sync.Mutex // guards the fields below
	expected map[banger.SessionID]struct{}
	pending  map[banger.SessionID]change
	overflow bool
}

// change is a state, and how many bytes of the budget it has.
type change struct {
	guestapi.GuestSession
	bytes int
}

func newChanges(b *guestbudget.Budget) *changes {
	return &changes{
		wake: make(chan struct{}, 1), budget: b.Pending,
		expected: map[banger.SessionID]struct{}{}, pending: map[banger.SessionID]change{},
	}
}

// expect makes changes of sessions count, until their ends have been taken.
func (c *changes) expect(ids ...banger.SessionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.expected[id] = struct{}{}
	}
}

// notify takes in a notification. It is called under the RPC client's lock, in
// any order, so it does not block and lets the higher sequence win.
func (c *changes) notify(r *jrpc2.Request) {
	if r.Method() != guestrpc.NotifyChanged {
		return
	}
	text := r.ParamString()
	s, err := parseReport([]byte(text))
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old, known := c.pending[s.ID]
	_, expected := c.expected[s.ID]
	if !expected || known && old.Sequence >= s.Sequence {
		return
	}
	c.budget.Give(old.bytes)
	if !c.budget.Take(len(text)) {
		c.overflow = true
		delete(c.pending, s.ID)
	} else {
		c.pending[s.ID] = change{s, len(text)}
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take returns what is pending, which the caller gives back with done. After an overflow
// it fails: the link must reconnect, which asks the guest for everything.
func (c *changes) take() ([]change, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.overflow {
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot follow the guest: changes of more than %d bytes came at once", guestbudget.PendingBytes)
	}
	out := make([]change, 0, len(c.pending))
	for _, s := range c.pending {
		out = append(out, s)
		if s.Status.Ended() && s.Survivors == nil {
			delete(c.expected, s.ID)
		}
	}
	clear(c.pending)
	return out, nil
}

// done gives back what take has returned, or a part of it.
func (c *changes) done(taken []change) {
	for _, s := range taken {
		c.budget.Give(s.bytes)
	}
}

// close gives back what nobody will take.
func (c *changes) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.pending {
		c.budget.Give(s.bytes)
	}
	clear(c.pending)
}
