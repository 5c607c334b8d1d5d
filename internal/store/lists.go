package store

import (
	"slices"
	"sync"

	"banger"
)

// maxListBytes bounds the documents of the lists that are kept.
const maxListBytes = 8 << 20

// lists keeps what was last listed until a record changes: to decode a thousand sessions
// takes ten milliseconds, and every lookup by name is a list. The zero value is ready.
type lists struct {
	mu         sync.Mutex // guards the fields below
	generation int64      // grows with each change
	committing bool       // whether readers see the change cannot be told
	bytes      int
	sessions   map[banger.VMID][]banger.Session // "" has those of all VMs
}

// change tells that a change is about to be committed. The caller calls done when it is,
// or could not be.
func (l *lists) change() (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	l.committing = true
	l.bytes, l.sessions = 0, nil
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.generation++
		l.committing = false
	}
}

// get returns a list, if it is kept, and what keep wants to know. The caller may change
// the list, but not what its elements refer to.
func (l *lists) get(vm banger.VMID) (sessions []banger.Session, kept bool, generation int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sessions, kept = l.sessions[vm]
	return slices.Clone(sessions), kept, l.generation
}

// keep takes a list that was read after get, of so many bytes of documents, unless
// anything has changed since.
func (l *lists) keep(vm banger.VMID, sessions []banger.Session, generation int64, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation || l.committing || bytes > maxListBytes-l.bytes {
		return
	}
	if l.sessions == nil {
		l.sessions = map[banger.VMID][]banger.Session{}
	}
	l.bytes += bytes
	l.sessions[vm] = slices.Clone(sessions)
}
