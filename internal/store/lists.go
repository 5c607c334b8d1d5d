package store

import (
	"slices"
	"sync"

	"banger"
)

// maxListBytes bounds the documents of the sessions that are kept decoded: some 30,000.
const maxListBytes = 32 << 20

// lists keeps all sessions in short, and all VMs, as they were last read, and follows
// their changes: to decode a thousand takes ten milliseconds. Nobody waits for a commit:
// until it is done, the lists are those before it. The zero value is ready.
type lists struct {
	mu         sync.Mutex // guards the fields below
	generation int64      // grows when a commit begins, and when it ends
	changing   bool       // a commit is under way; there is one at a time
	vms        []banger.VM
	sessions   *sessionList // nil if they are not kept
	tooMany    bool         // there are more than may be kept
	load       *listLoad    // nil if nobody reads them
}

// listLoad is what has changed while somebody reads all sessions.
type listLoad struct {
	changes []listChange
	failed  bool // a commit has failed, so nobody knows
}

// sessionList is a list of sessions, oldest first.
type sessionList struct {
	entries []sessionEntry
	at      map[banger.SessionKey]int // where in entries
	bytes   int                       // of all documents
	removed int                       // entries without a session
}

// sessionEntry is a session, which nobody changes, nil if it has been removed.
type sessionEntry struct {
	seq     int64 // of its creation; sessions.seq
	session *banger.Session
	bytes   int // of its document
}

// listChange is what a transaction makes of one session; without one it removes it.
type listChange struct {
	key   banger.SessionKey
	entry sessionEntry // seq is set if it is new
}

func newSessionList(entries []sessionEntry) *sessionList {
	l := &sessionList{at: make(map[banger.SessionKey]int, len(entries))}
	for _, e := range entries {
		l.add(e)
	}
	return l
}

func (l *sessionList) add(e sessionEntry) {
	l.at[e.session.Key()] = len(l.entries)
	l.entries, l.bytes = append(l.entries, e), l.bytes+e.bytes
}

func (c listChange) removes() bool { return c.entry.session == nil }

func (l *sessionList) applyAll(changes []listChange) {
	for _, c := range changes {
		l.apply(c)
	}
}

// apply makes a change.
func (l *sessionList) apply(c listChange) {
	i, known := l.at[c.key]
	switch {
	case !known && c.entry.session != nil:
		l.add(c.entry)
	case !known:
	case c.entry.session == nil:
		l.bytes -= l.entries[i].bytes
		l.entries[i] = sessionEntry{seq: l.entries[i].seq}
		delete(l.at, c.key)
		if l.removed++; l.removed > len(l.entries)/2 {
			*l = *newSessionList(slices.DeleteFunc(l.entries, func(e sessionEntry) bool { return e.session == nil }))
		}
	default:
		e := &l.entries[i]
		l.bytes += c.entry.bytes - e.bytes
		e.session, e.bytes = c.entry.session, c.entry.bytes
	}
}

// page calls each with the sessions after a place, of one VM or of all, until it returns
// false.
func (l *sessionList) page(vm banger.VMID, after int64, each func(sessionEntry) bool) {
	first, _ := slices.BinarySearchFunc(l.entries, after+1, func(e sessionEntry, seq int64) int { return int(min(max(e.seq-seq, -1), 1)) })
	for _, e := range l.entries[first:] {
		if e.session != nil && (vm == "" || e.session.VMID == vm) && !each(e) {
			return
		}
	}
}

// begin is called before a commit, by whoever holds the only connection that writes. vms says
// whether it changes VMs.
func (l *lists) begin(vms bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	l.changing = true
	if vms {
		l.vms = nil
	}
}

// end is called after a commit, with what it has made of sessions, in its order.
func (l *lists) end(changes []listChange, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	l.changing = false
	if l.load != nil {
		l.load.changes = append(l.load.changes, changes...)
		l.load.failed = l.load.failed || err != nil
	}
	if err != nil {
		l.sessions, l.vms, l.tooMany = nil, nil, false // it may have been committed all the same
		return
	}
	if l.sessions != nil {
		l.sessions.applyAll(changes)
	}
	l.tooMany = l.tooMany && !slices.ContainsFunc(changes, listChange.removes)
	l.bound()
}

// bound drops the sessions if they are too many.
func (l *lists) bound() {
	if l.sessions != nil && l.sessions.bytes > maxListBytes {
		l.sessions, l.tooMany = nil, true
	}
}

// getVMs returns the VMs, if they are kept, and what keepVMs wants to know.
func (l *lists) getVMs() (vms []banger.VM, kept bool, generation int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.vms), l.vms != nil, l.generation
}

// keepVMs takes VMs that were read after getVMs, unless anything may have changed since.
func (l *lists) keepVMs(vms []banger.VM, generation int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation == l.generation && !l.changing {
		l.vms = slices.Clone(vms)
	}
}

// get calls each with kept sessions as page does. If none are kept, worth reports whether
// they should be read.
func (l *lists) get(vm banger.VMID, after int64, each func(sessionEntry) bool) (kept, worth bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions == nil {
		return false, !l.tooMany
	}
	l.sessions.page(vm, after, each)
	return true, true
}

// session returns one, if it is kept.
func (l *lists) session(key banger.SessionKey) (banger.Session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions == nil {
		return banger.Session{}, false
	}
	i, ok := l.sessions.at[key]
	if !ok {
		return banger.Session{}, false
	}
	return *l.sessions.entries[i].session, true
}

// beginLoad is called before all sessions are read, by one at a time.
func (l *lists) beginLoad() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.load = &listLoad{}
}

// endLoad takes them, brought up to date; nil if they were too many or could not be read.
func (l *lists) endLoad(list *sessionList, tooMany bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	load := l.load
	l.load = nil
	if l.tooMany = tooMany; list == nil || load.failed {
		return
	}
	// What had been committed before it was read is made once more, in order, up to the
	// newest change.
	list.applyAll(load.changes)
	l.sessions = list
	l.bound()
}
