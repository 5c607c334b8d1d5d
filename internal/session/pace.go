package session

import (
	"context"
	"sync"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/records"
)

// maxLateBytes bounds the reports of one guest that wait to be recorded, about.
const maxLateBytes = guestbudget.PendingBytes

// pace bounds how often what one guest reports is recorded, since each time is a
// transaction, which others wait for, and an event. A step in a session's life is recorded
// at once: there are few of them, and of sessions that the host has made. Anything else
// takes a token; without one it waits, and a newer report of its session replaces it, so
// that the last one is always recorded.
type pace struct {
	tokens *guestbudget.Rate

	mu       sync.Mutex // guards the fields below
	known    map[banger.SessionID]banger.SessionState
	late     map[banger.SessionID]lateReport
	bytes    int  // of late
	flushing bool // somebody records what is late
	failed   error
}

// lateReport is one that waits to be recorded. Whoever records it may be of another machine,
// which the VM had in another epoch.
type lateReport struct {
	guestapi.GuestSession
	of branch
}

// paces are those of the guests that have reported something. Safe for concurrent use.
type paces struct {
	mu   sync.Mutex // guards kept
	kept map[banger.VMID]*pace
}

func newPaces() *paces { return &paces{kept: map[banger.VMID]*pace{}} }

// of returns that of a VM's guest.
func (s *paces) of(vm banger.VMID) *pace {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.kept[vm]
	if p == nil {
		p = &pace{
			tokens: guestbudget.NewStoreWrites(),
			known:  map[banger.SessionID]banger.SessionState{}, late: map[banger.SessionID]lateReport{},
		}
		s.kept[vm] = p
	}
	return p
}

// forget is called when a guest is no more.
func (s *paces) forget(vm banger.VMID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, vm)
}

// begin takes the records of a guest's sessions, and drops what is late: there is a whole
// list of newer reports.
func (p *pace) begin(records []banger.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
	clear(p.late)
	p.bytes, p.failed = 0, nil
	for _, x := range records {
		p.note(x)
	}
}

// recorded takes what has become of a record.
func (p *pace) recorded(x banger.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(x)
}

func (p *pace) note(x banger.Session) {
	if x.Status.Ended() && x.Survivors == nil {
		delete(p.known, x.ID)
		return
	}
	p.known[x.ID] = banger.SessionState{Status: x.Status}
}

// admission is what is to be done with a report.
type admission int

const (
	recordNow   admission = iota
	recordLater           // somebody does
	recordAwait           // with the next token
)

// admit decides about a report. first reports that what is late has nobody yet who records
// it. failed is why that could not be done.
func (p *pace) admit(of branch, r guestapi.GuestSession) (a admission, first bool, failed error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if failed, p.failed = p.failed, nil; failed != nil {
		return recordNow, false, failed
	}
	before, known := p.known[r.ID]
	if known && before.Status != r.Status && records.CheckTransition(before, r.SessionState) == nil {
		p.drop(r.ID)
		return recordNow, false, nil
	}
	_, late := p.late[r.ID]
	switch {
	case !late && p.tokens.Take(1):
		return recordNow, false, nil
	case !known: // a guest can invent any number of these
		return recordAwait, false, nil
	}
	p.drop(r.ID)
	if p.bytes+reportBytes(r) > maxLateBytes {
		return recordAwait, false, nil
	}
	p.late[r.ID] = lateReport{r, of}
	p.bytes += reportBytes(r)
	first, p.flushing = !p.flushing, true
	return recordLater, first, nil
}

// drop forgets what is late of a session.
func (p *pace) drop(id banger.SessionID) {
	if r, ok := p.late[id]; ok {
		p.bytes -= reportBytes(r.GuestSession)
		delete(p.late, id)
	}
}

// next returns something that is late; after the last one nobody records.
func (p *pace) next() (r lateReport, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r = range p.late {
		p.drop(r.ID)
		return r, true
	}
	p.flushing = false
	return r, false
}

// reportBytes is about how much memory a report takes.
func reportBytes(r guestapi.GuestSession) int {
	const fixed = 1 << 10 // and the steps of a stop, the survivors, all bounded
	return fixed + len(r.GuestStateDir) + len(r.LaunchMessage) + len(r.LaunchRawLog) + len(r.LastError)
}

// recordLate records what is late, as fast as there are tokens.
func (f *follower) recordLate(ctx context.Context, p *pace) {
	for p.tokens.Await(ctx, 1) == nil {
		r, ok := p.next()
		if !ok {
			return
		}
		if err := f.record(ctx, r.of, r.GuestSession); err != nil {
			f.log.Error("cannot record a session", "vm", f.of.vm, "session", r.ID, "cause", err)
			p.mu.Lock()
			p.failed = err // so the link reconnects, and its guest reports everything
			p.mu.Unlock()
		}
	}
}
