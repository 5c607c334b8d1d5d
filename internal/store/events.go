package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"banger"
)

// Limits of what a watch holds in memory at once.
const (
	maxBatchEvents = 256
	maxBatchBytes  = 1 << 20 // passed by one record at most
)

// Events are the changes of all records, each with its revision.
type Events struct {
	reader *reader
	recent *recent
}

// Revision returns that of the newest event, 0 if there is none.
func (s *Events) Revision(context.Context) (int64, error) {
	leave, err := s.reader.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	return s.recent.revision(), nil
}

// WatchEvents implements banger.EventService. The file is the queue: a watcher
// that is slow costs no memory and delays nobody; one that is so slow that its
// next event is no longer kept gets CodeGone. A since above the newest revision
// is CodeInvalid.
func (s *Events) WatchEvents(ctx context.Context, since int64, fn func(banger.Event) error) error {
	leave, err := s.reader.enter()
	if err != nil {
		return err
	}
	defer leave()
	switch newest := s.recent.revision(); {
	case since < 0:
		since = newest
	case since > newest:
		return banger.Errorf(banger.CodeInvalid, "cannot watch events after revision %d: the newest is %d", since, newest).
			WithHint("the store may be another one than before: list the records, then watch from the newest revision")
	}
	for {
		batch, later, err := s.after(ctx, since)
		if err != nil {
			return s.reader.explain(ctx, "read events", err)
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
		if err := s.rest(ctx, later); err != nil {
			return err
		}
	}
}

// rest waits until later is closed, for nothing if it is nil. It fails when a watch is to
// end.
func (s *Events) rest(ctx context.Context, later <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.reader.closing:
		return errClosed
	default:
	}
	if later == nil {
		return nil
	}
	select {
	case <-later:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.reader.closing:
		return errClosed
	}
}

// after returns some of the events after a revision, from memory if they are still
// there. If there are none, later is closed when there are.
func (s *Events) after(ctx context.Context, since int64) (batch []banger.Event, later <-chan struct{}, err error) {
	batch, kept, newest, later := s.recent.after(since)
	if !kept {
		batch, err = s.read(ctx, since, newest)
	}
	return batch, later, err
}

// read returns some of the events after a revision and up to the newest that is
// known to all: who has read an event finds no list that is older.
func (s *Events) read(ctx context.Context, since, newest int64) (batch []banger.Event, err error) {
	rows, err := s.reader.db.QueryContext(ctx,
		"SELECT revision, time, kind, record FROM events WHERE revision > ? AND revision <= ? ORDER BY revision LIMIT ?", since, newest, maxBatchEvents)
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

// decodeEvent sets the one record of e that its kind implies.
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
	switch {
	case e.VM != nil:
		firstEpoch(e.VM)
	case e.Session != nil && e.Session.Epoch == "":
		e.Session.Epoch = banger.Epoch(e.Session.VMID)
	}
	return nil
}
