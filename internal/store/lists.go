package store

import (
	"slices"
	"sync"

	"banger"
)

// maxListBytes bounds the documents of the lists that are kept.
const maxListBytes = 8 << 20

// lists keeps the sessions that were last listed and follows their changes: to decode a
// thousand of them takes ten milliseconds, and every lookup by name is a list. So is that
// of a VM, with which each request begins; those are few and are read again after a change.
// Who wants a list while a change is committed waits, so that nobody gets an older one than
// what was read before. The zero value is ready.
type lists struct {
	mu         sync.Mutex                       // guards the fields below
	generation int64                            // grows with each change
	bytes      int                              // of all documents that were taken in
	sessions   map[banger.VMID][]banger.Session // "" has those of all VMs
	vms        []banger.VM                      // nil if they are not kept
}

// listChange is what a transaction makes of one session.
type listChange struct {
	session banger.Session // as a reader will see it
	bytes   int            // of its document; 0 if it was deleted
}

// change commits a transaction that makes these changes of sessions, in their order, and
// perhaps others of VMs.
func (l *lists) change(changes []listChange, vms bool, commit func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	if vms {
		l.vms = nil
	}
	if err := commit(); err != nil {
		l.drop() // it may have been committed all the same
		return err
	}
	for _, c := range changes {
		for _, vm := range []banger.VMID{"", c.session.VMID} {
			l.apply(vm, c)
		}
	}
	return nil
}

// apply makes a change in one list, if that is kept.
func (l *lists) apply(vm banger.VMID, c listChange) {
	list, kept := l.sessions[vm]
	if !kept {
		return
	}
	at := slices.IndexFunc(list, func(x banger.Session) bool { return x.ID == c.session.ID })
	switch {
	case c.bytes == 0 && at >= 0:
		list = slices.Delete(list, at, at+1)
	case c.bytes == 0:
	case at >= 0:
		list[at] = c.session
	default:
		list = append(list, c.session)
	}
	l.sessions[vm] = list
	if l.bytes += c.bytes; l.bytes > maxListBytes {
		l.drop() // what has been replaced is counted as well
	}
}

func (l *lists) drop() { l.bytes, l.sessions = 0, nil }

// getVMs is get of the VMs.
func (l *lists) getVMs() (vms []banger.VM, kept bool, generation int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.vms), l.vms != nil, l.generation
}

// keepVMs is keep of the VMs.
func (l *lists) keepVMs(vms []banger.VM, generation int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation == l.generation {
		l.vms = slices.Clone(vms)
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
	if generation != l.generation || bytes > maxListBytes-l.bytes {
		return
	}
	if l.sessions == nil {
		l.sessions = map[banger.VMID][]banger.Session{}
	}
	l.bytes += bytes
	l.sessions[vm] = slices.Clone(sessions)
}
