package machine

import (
	"sync"

	"banger/internal/guestapi"
)

// presence is whether the guest of a run is there. Safe for concurrent use.
type presence struct {
	up     chan struct{} // closed when the guest has answered for the first time
	upOnce sync.Once

	mu     sync.Mutex     // guards the fields below
	guest  guestapi.Guest // while the link is up
	linked chan struct{}  // closed when the link comes up the next time
}

func newPresence() *presence {
	return &presence{up: make(chan struct{}), linked: make(chan struct{})}
}

func (p *presence) noteUp() { p.upOnce.Do(func() { close(p.up) }) }

// now returns the guest, nil while its link is down.
func (p *presence) now() guestapi.Guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.guest
}

// set takes the guest whose link is up, nil for none.
func (p *presence) set(g guestapi.Guest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.guest = g
	if g != nil {
		close(p.linked)
		p.linked = make(chan struct{})
	}
}

// nextLink returns a channel that is closed when the link comes up again.
func (p *presence) nextLink() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.linked
}
