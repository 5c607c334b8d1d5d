package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"banger"
)

// tx is one change: what it writes, its events and its time. It begins with the
// write lock held, so what it has read stays true until its end.
type tx struct {
	*sql.Tx
	ctx      context.Context
	now      time.Time
	revision int64 // of the newest event, this transaction's included
	events   []banger.Event
	bytes    int                  // of their documents
	sizes    []int                // of each of these
	sessions []listChange         // what it makes of them
	vms      bool                 // whether it changes any
	forgets  bool                 // whether it removes what shall be gone
	prepared map[string]*sql.Stmt // which end with it
}

// next returns the revision for a record that is about to change; emit must
// follow before the next one.
func (t *tx) next() int64 { return t.revision + 1 }

// emit adds the event of a change. record is the document after it, with the revision
// that next returned.
func (t *tx) emit(kind banger.EventKind, record []byte) error {
	e := banger.Event{Revision: t.next(), Time: t.now, Kind: kind}
	if err := decodeEvent(&e, record); err != nil {
		return err
	}
	return t.emitEvent(e, record)
}

// emitEvent adds an event with its document.
func (t *tx) emitEvent(e banger.Event, record []byte) error {
	t.revision = e.Revision
	t.events, t.sizes, t.bytes = append(t.events, e), append(t.sizes, len(record)), t.bytes+len(record)
	return t.exec("INSERT INTO events (revision, time, kind, record) VALUES (?, ?, ?, ?)",
		e.Revision, e.Time.UnixNano(), string(e.Kind), string(record))
}

// emitRecord does the same with a record.
func (t *tx) emitRecord(kind banger.EventKind, record any) error {
	document, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return t.emit(kind, document)
}

// prune deletes the oldest events beyond the limits, but never the newest.
func (t *tx) prune(l limits) error {
	var oldest, total int64
	if err := t.queryRow("SELECT min(revision), total FROM events, event_bytes").Scan(&oldest, &total); err != nil {
		return err
	}
	first, freed := oldest, int64(0) // that is kept, and what the others have
	for first < t.revision && (first <= t.revision-l.events || total-freed > l.bytes) {
		var size int64
		if err := t.queryRow("SELECT octet_length(record) FROM events WHERE revision = ?", first).Scan(&size); err != nil {
			return err
		}
		first, freed = first+1, freed+size
	}
	if first == oldest {
		return nil
	}
	if err := t.exec("DELETE FROM events WHERE revision < ?", first); err != nil {
		return err
	}
	return t.exec("UPDATE event_bytes SET total = total - ?", freed)
}

// stmt prepares a query, once for the transaction: some carry out thousands of one.
func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s := t.prepared[query]; s != nil {
		return s, nil
	}
	s, err := t.PrepareContext(t.ctx, query)
	if err == nil {
		t.prepared[query] = s
	}
	return s, err
}

func (t *tx) exec(query string, args ...any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(t.ctx, args...)
	return err
}

// queryRow is QueryRowContext of what is prepared.
func (t *tx) queryRow(query string, args ...any) row {
	s, err := t.stmt(query)
	if err != nil {
		return row{err: err}
	}
	return row{Row: s.QueryRowContext(t.ctx, args...)}
}

// row is a row, or why there is none.
type row struct {
	*sql.Row
	err error
}

// Scan is that of sql.Row.
func (r row) Scan(into ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.Row.Scan(into...)
}

// QueryContext implements querier by what is prepared.
func (t *tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// exists reports whether a query has a row.
func (t *tx) exists(query string, args ...any) (bool, error) {
	err := t.queryRow(query, args...).Scan(new(any))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// changed reports whether two records differ in their JSON.
func changed(a, b any) (bool, error) {
	before, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	after, err := json.Marshal(b)
	return !bytes.Equal(before, after), err
}
