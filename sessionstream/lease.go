package sessionstream

import (
	"sync"
	"time"
)

// minLease is the shortest lease that is kept: a shorter one would be a flood of pings.
const minLease = time.Second

// lease is what a writer's place stays reserved for, which pings keep.
type lease struct {
	kept     bool // by this attachment; else by somebody else's pings
	link     *link
	released <-chan struct{} // closed when it is kept no more
	begun    bool            // belongs to whoever calls Receive
	pings    sync.WaitGroup
}

// begin keeps the lease of a grant from now on, if it is not kept already.
func (l *lease) begin(g Grant) {
	if l.kept && !l.begun {
		l.begun = true
		l.pings.Go(func() { l.keep(time.Duration(g.LeaseMS) * time.Millisecond) })
	}
}

// keep sends pings, several in the time that the lease lasts.
func (l *lease) keep(lasts time.Duration) {
	ticker := time.NewTicker(max(lasts, minLease) / 5)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = l.link.send(&Ping{}) // fails while there is no connection
		case <-l.released:
			return
		}
	}
}

// wait returns when it is kept no more.
func (l *lease) wait() { l.pings.Wait() }
