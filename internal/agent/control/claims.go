package control

import (
	"sync"

	"banger"
)

// claims lets one goroutine at a time launch, take in or remove a session. The
// zero value is ready for use.
type claims struct {
	mu   sync.Mutex // guards held
	held map[banger.SessionID]*claim
}

type claim struct {
	sync.Mutex
	users int // holding it or waiting for it; guarded by claims.mu
}

// lock waits for a session and returns the function that gives it up.
func (c *claims) lock(id banger.SessionID) (unlock func()) {
	c.mu.Lock()
	if c.held == nil {
		c.held = map[banger.SessionID]*claim{}
	}
	x := c.held[id]
	if x == nil {
		x = &claim{}
		c.held[id] = x
	}
	x.users++
	c.mu.Unlock()
	x.Lock()
	return func() {
		x.Unlock()
		c.mu.Lock()
		defer c.mu.Unlock()
		if x.users--; x.users == 0 {
			delete(c.held, id)
		}
	}
}
