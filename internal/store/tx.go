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
	emitted  bool
	sessions []listChange // what it makes of them
	vms      bool         // whether it changes any
}

// write runs f in a transaction, then wakes the watchers. ctx is heeded while
// the call waits for its turn; a change that has begun is carried out or
// undone whatever becomes of ctx, so that its outcome is known.
func (s *Store) write(ctx context.Context, action string, f func(*tx) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := s.attempt(ctx, action, f); err != nil {
		return err
	}
	s.reserve.restore()
	return nil
}

// writeAnyway is write for what makes room, or says how machines ended: on a full disk
// it takes the reserve.
func (s *Store) writeAnyway(ctx context.Context, action string, f func(*tx) error) error {
	err := s.write(ctx, action, f)
	if s.full(err) && s.reserve.give() {
		err = s.write(ctx, action, f)
	}
	return err
}

// attempt is one try of write.
func (s *Store) attempt(ctx context.Context, action string, f func(*tx) error) error {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return s.explain(ctx, action, err)
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	begun, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(ctx, action, err)
	}
	defer func() { _ = begun.Rollback() }() // after a commit it does nothing
	t := &tx{Tx: begun, ctx: ctx, now: time.Now().UTC()}
	if err := s.run(t, f); err != nil {
		return s.explain(ctx, action, err)
	}
	if err := s.lists.change(t.sessions, t.vms, t.Commit); err != nil {
		return s.explain(ctx, action, err)
	}
	if t.emitted {
		s.watchers.wake()
	}
	return nil
}

func (s *Store) run(t *tx, f func(*tx) error) error {
	if err := t.QueryRowContext(t.ctx, "SELECT ifnull(max(revision), 0) FROM events").Scan(&t.revision); err != nil {
		return err
	}
	if err := f(t); err != nil {
		return err
	}
	if !t.emitted {
		return nil
	}
	return t.prune(s.limits)
}

// next returns the revision for a record that is about to change; emit must
// follow before the next one.
func (t *tx) next() int64 { return t.revision + 1 }

// emit adds the event of a change. record is the document after it, with the
// revision that next returned.
func (t *tx) emit(kind banger.EventKind, record []byte) error {
	t.revision++
	t.emitted = true
	if err := t.exec("INSERT INTO events (revision, time, kind, record) VALUES (?, ?, ?, ?)",
		t.revision, t.now.UnixNano(), string(kind), string(record)); err != nil {
		return err
	}
	return t.exec("UPDATE event_bytes SET total = total + ?", len(record))
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
	for {
		var oldest, size, total int64
		err := t.QueryRowContext(t.ctx,
			"SELECT revision, octet_length(record), total FROM events, event_bytes ORDER BY revision LIMIT 1").Scan(&oldest, &size, &total)
		if err != nil {
			return err
		}
		if oldest == t.revision || oldest > t.revision-l.events && total <= l.bytes {
			return nil
		}
		if err := t.exec("DELETE FROM events WHERE revision = ?", oldest); err != nil {
			return err
		}
		if err := t.exec("UPDATE event_bytes SET total = total - ?", size); err != nil {
			return err
		}
	}
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.ExecContext(t.ctx, query, args...)
	return err
}

// exists reports whether a query has a row.
func (t *tx) exists(query string, args ...any) (bool, error) {
	err := t.QueryRowContext(t.ctx, query, args...).Scan(new(any))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// changed reports whether two records differ in what JSON tells of them.
func changed(a, b any) (bool, error) {
	before, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	after, err := json.Marshal(b)
	return !bytes.Equal(before, after), err
}
