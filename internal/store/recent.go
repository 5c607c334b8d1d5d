package store

import (
	"context"
	"slices"
	"sync"

	"banger"
)

// Limits of the events that are held in memory, decoded. The bytes are of their documents.
const (
	maxRecentEvents = 4096
	maxRecentBytes  = 4 << 20
)

// recent holds the newest events, so that each is decoded once, whoever watches, and
// nobody asks the file who is not far behind. What the events refer to
// is shared: nobody changes it.
type recent struct {
	limits limits         // not above those of the file
	mu     sync.Mutex     // guards the fields below
	newest int64          // the revision of the last change that is known to all
	events []banger.Event // without a hole, the last is the newest
	sizes  []int          // of their documents
	bytes  int            // all together
	grown  chan struct{}  // closed at the next change; nil if nobody waits for it
}

// add takes in the events of a transaction.
func (r *recent) add(events []banger.Event, sizes []int) {
	if len(events) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events, r.sizes = append(r.events, events...), append(r.sizes, sizes...)
	for _, n := range sizes {
		r.bytes += n
	}
	gone := 0
	for gone < len(r.events)-1 && (len(r.events)-gone > int(r.limits.events) || r.bytes > int(r.limits.bytes)) {
		r.bytes -= r.sizes[gone]
		gone++
	}
	r.events, r.sizes = slices.Delete(r.events, 0, gone), slices.Delete(r.sizes, 0, gone)
	r.grow(events[len(events)-1].Revision)
}

// reset forgets all events; newest is the revision that the file has.
func (r *recent) reset(newest int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events, r.sizes, r.bytes = nil, nil, 0
	r.grow(newest)
}

func (r *recent) grow(newest int64) {
	r.newest = newest
	if r.grown != nil {
		close(r.grown)
		r.grown = nil
	}
}

// revision returns the newest one.
func (r *recent) revision() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest
}

// after returns some of the events after a revision. If there are none, later is closed
// when there are. If kept is false, they are to be read from the file, up to newest.
func (r *recent) after(since int64) (batch []banger.Event, kept bool, newest int64, later <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	behind := int(r.newest - since)
	switch {
	case behind <= 0:
		return nil, true, r.newest, r.wait()
	case behind > len(r.events):
		return nil, false, r.newest, nil
	}
	first := len(r.events) - behind
	return slices.Clone(r.events[first:min(first+maxBatchEvents, len(r.events))]), true, r.newest, nil
}

// wait returns what is closed at the next change.
func (r *recent) wait() <-chan struct{} {
	if r.grown == nil {
		r.grown = make(chan struct{})
	}
	return r.grown
}

// reached returns when a change that is in the file is known to all: that takes no longer
// than a change of memory, for it has been committed.
func (r *recent) reached(ctx context.Context, revision int64) error {
	for {
		r.mu.Lock()
		if r.newest >= revision {
			r.mu.Unlock()
			return nil
		}
		later := r.wait()
		r.mu.Unlock()
		select {
		case <-later:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
