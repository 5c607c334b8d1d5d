package store

import (
	"context"
	"database/sql"
	"time"
)

// writer changes records, in one transaction after the other, and has each change known
// to whoever waits for it. Safe for concurrent use.
type writer struct {
	location
	*calls
	db      *sql.DB // one connection; its transactions begin with the write lock
	reader  *reader
	limits  limits
	reserve *reserve
	recent  *recent
	waits   *waits
	lists   *lists
}

// write runs f in a transaction, then wakes the watchers. ctx counts while
// the call waits for its turn; a change that has begun is carried out or
// undone whatever becomes of ctx, so that its outcome is known.
func (w *writer) write(ctx context.Context, action string, f func(*tx) error) error {
	leave, err := w.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := w.attempt(ctx, action, f); err != nil {
		return err
	}
	w.reserve.restore()
	return nil
}

// writeAnyway is write for what makes room, or says how machines ended: on a full disk
// it takes the reserve.
func (w *writer) writeAnyway(ctx context.Context, action string, f func(*tx) error) error {
	err := w.write(ctx, action, f)
	if w.full(err) && w.reserve.give() {
		err = w.write(ctx, action, f)
	}
	return err
}

// attempt is one try of write.
func (w *writer) attempt(ctx context.Context, action string, f func(*tx) error) error {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return w.explain(ctx, action, err)
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	begun, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return w.explain(ctx, action, err)
	}
	defer func() { _ = begun.Rollback() }() // after a commit it does nothing
	t := &tx{Tx: begun, ctx: ctx, now: time.Now().UTC().Round(0), prepared: map[string]*sql.Stmt{}}
	if err := w.run(t, f); err != nil {
		return w.explain(ctx, action, err)
	}
	if err := w.commit(t); err != nil {
		return w.explain(ctx, action, err)
	}
	if t.forgets {
		_, _ = conn.ExecContext(ctx, emptyLog) // what remains is overwritten later
	}
	return nil
}

// commit commits a transaction and has it known, in the order in which all are
// committed: the caller holds the connection. Who reads lists meanwhile gets them as they
// were before, at once.
func (w *writer) commit(t *tx) error {
	w.lists.begin(t.vms)
	err := t.Commit()
	w.tell(t, err)
	return err
}

// tell makes the outcome of a commit known. One that failed may have been made all the same.
func (w *writer) tell(t *tx, err error) {
	w.lists.end(t.sessions, err)
	if err == nil {
		w.recent.add(t.events, t.sizes)
		w.waits.wake(t.events)
		return
	}
	if newest, readErr := w.reader.revision(t.ctx); readErr == nil {
		w.recent.reset(newest)
	}
	w.waits.doubt(t.events)
}

func (w *writer) run(t *tx, f func(*tx) error) error {
	if err := t.queryRow("SELECT ifnull(max(revision), 0) FROM events").Scan(&t.revision); err != nil {
		return err
	}
	if err := f(t); err != nil {
		return err
	}
	if len(t.events) == 0 {
		return nil
	}
	if err := t.exec("UPDATE event_bytes SET total = total + ?", t.bytes); err != nil {
		return err
	}
	return t.prune(w.limits)
}
