package store

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"banger"
)

// Limits of what a watch holds in memory at once.
const (
	maxBatchEvents = 256
	maxBatchBytes  = 1 << 20 // passed by one record at most
)

// Revision implements banger.Store.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	leave, err := s.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	return s.revision(ctx)
}

func (s *Store) revision(ctx context.Context) (revision int64, err error) {
	err = s.readers.QueryRowContext(ctx, "SELECT ifnull(max(revision), 0) FROM events").Scan(&revision)
	return revision, s.explain(ctx, "read the newest revision", err)
}

// WatchEvents implements banger.EventService. The file is the queue: a watcher
// that is slow costs no memory and delays nobody; one that is so slow that its
// next event is no longer kept gets CodeGone. A since above the newest revision
// is CodeInvalid.
func (s *Store) WatchEvents(ctx context.Context, since int64, fn func(banger.Event) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	// Subscribed before the first read, so that no event falls in between.
	wake := s.watchers.add()
	defer s.watchers.remove(wake)

	newest, err := s.revision(ctx)
	switch {
	case err != nil:
		return err
	case since < 0:
		since = newest
	case since > newest:
		return banger.Errorf(banger.CodeInvalid, "cannot watch events after revision %d: the newest is %d", since, newest).
			WithHint("the store may be another one than before: list the records, then watch from the newest revision")
	}
	for {
		batch, err := s.eventsAfter(ctx, since)
		if err != nil {
			return s.explain(ctx, "read events", err)
		}
		for _, e := range batch {
			if e.Revision != since+1 {
				return banger.Errorf(banger.CodeGone, "cannot watch events after revision %d: the oldest that is kept is %d", since, e.Revision).
					WithHint("list the records, then watch from the newest revision")
			}
			if err := fn(e); err != nil {
				return err
			}
			since = e.Revision
		}
		if len(batch) > 0 {
			poke(wake) // there may be more: come back, unless it is to end
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return errClosed
		}
	}
}

// eventsAfter returns some of the events after a revision, none if there are none.
func (s *Store) eventsAfter(ctx context.Context, since int64) (batch []banger.Event, err error) {
	rows, err := s.readers.QueryContext(ctx,
		"SELECT revision, time, kind, record FROM events WHERE revision > ? ORDER BY revision LIMIT ?", since, maxBatchEvents)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for size := 0; size < maxBatchBytes && rows.Next(); {
		var (
			e      banger.Event
			nanos  int64
			record []byte
		)
		if err := rows.Scan(&e.Revision, &nanos, &e.Kind, &record); err != nil {
			return nil, err
		}
		e.Time = time.Unix(0, nanos).UTC()
		if err := decodeEvent(&e, record); err != nil {
			return nil, err
		}
		size += len(record)
		batch = append(batch, e)
	}
	return batch, rows.Err()
}

// decodeEvent sets the one record of e that its kind tells.
func decodeEvent(e *banger.Event, record []byte) error {
	var into any
	switch noun, _, _ := strings.Cut(string(e.Kind), "."); noun {
	case "vm":
		e.VM = new(banger.VM)
		into = e.VM
	case "session":
		e.Session = new(banger.Session)
		into = e.Session
	case "image":
		e.Image = new(banger.Image)
		into = e.Image
	default:
		return banger.Errorf(banger.CodeCorrupt, "cannot read event %d: its kind %q is not known", e.Revision, string(e.Kind))
	}
	if err := json.Unmarshal(record, into); err != nil {
		return banger.Errorf(banger.CodeCorrupt, "cannot read event %d: %w", e.Revision, err)
	}
	return nil
}

// watchers wakes all who wait for events. The zero value is ready. A wake while
// a watcher is busy is kept for it, once: it reads all there is anyway.
type watchers struct {
	mu  sync.Mutex // guards set
	set map[chan struct{}]struct{}
}

func (w *watchers) add() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set == nil {
		w.set = map[chan struct{}]struct{}{}
	}
	c := make(chan struct{}, 1)
	w.set[c] = struct{}{}
	return c
}

func (w *watchers) remove(c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.set, c)
}

func (w *watchers) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.set {
		poke(c)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
