package guest

import (
	"sync"

	"github.com/creachadair/jrpc2"

	"banger"
	"banger/internal/guestrpc"
)

// maxPendingChanges bounds what a guest can make the host hold.
const maxPendingChanges = 10_000

// changes holds the newest state of each session that has changed since it was
// last taken. It is a map and not a queue, so that a guest that reports faster
// than the store writes costs no memory; the states in between are not missed.
type changes struct {
	wake chan struct{} // has one element while there is something to take

	mu       sync.Mutex // guards the fields below
	pending  map[banger.SessionID]banger.GuestSession
	overflow bool
}

func newChanges() *changes {
	return &changes{wake: make(chan struct{}, 1), pending: map[banger.SessionID]banger.GuestSession{}}
}

// notify takes in a notification. It is called under the RPC client's lock, in
// any order, so it does not block and lets the higher sequence win.
func (c *changes) notify(r *jrpc2.Request) {
	var s banger.GuestSession
	if r.Method() != guestrpc.NotifyChanged || len(r.ParamString()) > maxAnswerBytes ||
		r.UnmarshalParams(&s) != nil || checkReport(s) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old, known := c.pending[s.ID]
	switch {
	case known && old.Sequence >= s.Sequence:
		return
	case !known && len(c.pending) == maxPendingChanges:
		c.overflow = true
	default:
		c.pending[s.ID] = s
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take returns what is pending. After an overflow it fails: the link must be
// made anew, which asks the guest for everything.
func (c *changes) take() ([]banger.GuestSession, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.overflow {
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot follow the guest: more than %d sessions changed at once", maxPendingChanges)
	}
	out := make([]banger.GuestSession, 0, len(c.pending))
	for _, s := range c.pending {
		out = append(out, s)
	}
	clear(c.pending)
	return out, nil
}
