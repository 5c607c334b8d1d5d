package store

import (
	"sync"

	"banger"
)

// calls are those that are under way, for which the end of a store waits. Safe for
// concurrent use.
type calls struct {
	closing chan struct{} // closed when end begins

	mu       sync.Mutex // guards closed and that no call begins after it is set
	closed   bool
	underWay sync.WaitGroup
}

func newCalls() *calls { return &calls{closing: make(chan struct{})} }

// enter begins a call; leave must be called when it is done.
func (c *calls) enter() (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	c.underWay.Add(1)
	return c.underWay.Done, nil
}

// end refuses calls from now on and waits for those that are under way. It returns false,
// at once, if it has been called before.
func (c *calls) end() bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	c.closed = true
	close(c.closing)
	c.mu.Unlock()
	c.underWay.Wait()
	return true
}

var errClosed = &banger.Error{Code: banger.CodeUnavailable, Message: "the store is closed"}
