package store

import (
	"context"
	"sync"

	"banger"
)

// waits has those who wait for something of one session each, so that an event wakes only
// whom it concerns. The zero value is ready.
type waits struct {
	mu  sync.Mutex // guards set, and what each wait has
	set map[banger.SessionKey]map[*wait]struct{}
}

// wait is one who waits: for the newest state, whatever was in between.
type wait struct {
	woken   chan struct{} // has one element when there is something new
	session banger.Session
	removed bool
	doubt   bool // the record may be another by now: it is to be read
}

func (w *waits) add(key banger.SessionKey) *wait {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set == nil {
		w.set = map[banger.SessionKey]map[*wait]struct{}{}
	}
	if w.set[key] == nil {
		w.set[key] = map[*wait]struct{}{}
	}
	one := &wait{woken: make(chan struct{}, 1)}
	w.set[key][one] = struct{}{}
	return one
}

func (w *waits) remove(key banger.SessionKey, one *wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.set[key], one)
	if len(w.set[key]) == 0 {
		delete(w.set, key)
	}
}

// wake has those know of events whom they concern.
func (w *waits) wake(events []banger.Event) {
	w.each(events, func(one *wait, e banger.Event) {
		one.session, one.removed = *e.Session, e.Kind == banger.EventSessionDeleted
	})
}

// doubt has those read the record again whom events concern that may have come.
func (w *waits) doubt(events []banger.Event) {
	w.each(events, func(one *wait, _ banger.Event) { one.doubt = true })
}

// each notes something for those whom events concern, and wakes them.
func (w *waits) each(events []banger.Event, note func(*wait, banger.Event)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.set) == 0 {
		return
	}
	for _, e := range events {
		if e.Session == nil {
			continue
		}
		for one := range w.set[e.Session.Key()] {
			note(one, e)
			select {
			case one.woken <- struct{}{}:
			default:
			}
		}
	}
}

// outcome returns what wake and doubt have left; nothing for a session that is in doubt.
func (w *waits) outcome(one *wait) (x banger.Session, removed, doubt bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	doubt, one.doubt = one.doubt, false
	return one.session, one.removed, doubt
}

// WaitSession implements session.Store.
func (s *Sessions) WaitSession(ctx context.Context, key banger.SessionKey, done func(banger.Session) bool) (banger.Session, error) {
	leave, err := s.reader.enter()
	if err != nil {
		return banger.Session{}, err
	}
	defer leave()
	one := s.waits.add(key) // before the record is read: nothing falls between
	defer s.waits.remove(key, one)
	x, err := s.shortSession(ctx, key)
	for err == nil && !done(x) {
		select {
		case <-one.woken:
		case <-ctx.Done():
			return x, ctx.Err()
		case <-s.reader.closing:
			return x, errClosed
		}
		name := x.Name
		outcome, removed, doubt := s.waits.outcome(one)
		if x = outcome; doubt {
			x, err = s.shortSession(ctx, key)
			removed = banger.CodeOf(err) == banger.CodeNotFound
		}
		if removed {
			err = banger.Errorf(banger.CodeGone, "cannot wait for session %q: it has been removed", name)
		}
	}
	return x, err
}
