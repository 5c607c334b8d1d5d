package store

import (
	"context"
	"slices"
	"sync"
)

// A transaction is of at most so many changes, and takes no more of them when its events
// have so many bytes.
const (
	maxGroup      = 64
	maxGroupBytes = 4 << 20
)

// waiting is a change that waits for its turn.
type waiting struct {
	ctx    context.Context //nolint:containedctx // it is the caller's, as long as that waits
	action string
	f      func(*tx) error
	done   chan error // gets its outcome, once
}

// turns has the changes that wait while others are committed. They are committed together:
// to sync a file takes longer than to write a few records more.
type turns struct {
	turn  chan struct{} // has an element while somebody carries changes out
	mu    sync.Mutex    // guards queue
	queue []*waiting
}

// add puts a change at the end of the queue.
func (q *turns) add(w *waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, w)
}

// leave takes a change back, and reports whether nobody has begun with it.
func (q *turns) leave(w *waiting) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.queue, w)
	if i >= 0 {
		q.queue = slices.Delete(q.queue, i, i+1)
	}
	return i >= 0
}

// take returns the first changes of the queue.
func (q *turns) take() []*waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.queue), maxGroup)
	group := slices.Clone(q.queue[:n])
	q.queue = slices.Delete(q.queue, 0, n)
	return group
}

// attempt is one try of write: it waits until f has been carried out, with others or alone, by
// this call or by one of theirs.
func (s *Store) attempt(ctx context.Context, action string, f func(*tx) error) error {
	if ctx.Err() != nil {
		return s.explain(ctx, action, ctx.Err())
	}
	w := &waiting{ctx, action, f, make(chan error, 1)}
	s.turns.add(w)
	for {
		select {
		case err := <-w.done:
			return err
		case s.turns.turn <- struct{}{}:
			s.carryOut(s.turns.take())
			<-s.turns.turn
		case <-ctx.Done():
			if s.turns.leave(w) {
				return s.explain(ctx, action, ctx.Err())
			}
			return <-w.done
		}
	}
}

// carryOut carries out changes in as few transactions as can be. The caller has the turn.
func (s *Store) carryOut(group []*waiting) {
	for len(group) > 0 {
		n := s.together(group)
		group = group[n:]
	}
}

// alone carries out one change and tells its outcome.
func (s *Store) alone(w *waiting) {
	_, err := s.transact(w.ctx, func(t *tx) error { return s.run(t, w.f) })
	w.done <- s.explain(w.ctx, w.action, err)
}

// together carries out the first changes of a group, in one transaction if it can be, tells
// their outcomes, and returns how many they were. A change that fails is undone alone.
func (s *Store) together(group []*waiting) int {
	if len(group) == 1 {
		s.alone(group[0])
		return 1
	}
	var outcomes []error
	committing, err := s.transact(group[0].ctx, func(t *tx) error {
		for _, w := range group {
			if t.bytes > maxGroupBytes {
				break
			}
			outcome, err := s.runApart(t, w)
			if err != nil {
				return err
			}
			outcomes = append(outcomes, outcome)
		}
		return nil
	})
	if err != nil && !committing { // nothing of it has happened
		for _, w := range group {
			s.alone(w)
		}
		return len(group)
	}
	for i, outcome := range outcomes {
		w := group[i]
		if outcome == nil {
			outcome = err
		}
		w.done <- s.explain(w.ctx, w.action, outcome)
	}
	return len(outcomes)
}

// runApart carries out one of the changes of a transaction. If that fails, nothing of it is
// left; err tells that the transaction itself has failed, as it may on a full disk.
func (s *Store) runApart(t *tx, w *waiting) (outcome, err error) {
	before := *t
	t.ctx = context.WithoutCancel(w.ctx)
	if err := t.exec("SAVEPOINT change"); err != nil {
		return nil, err
	}
	if outcome = s.run(t, w.f); outcome != nil {
		*t = before
		err = t.exec("ROLLBACK TO change")
	}
	if err == nil {
		err = t.exec("RELEASE change")
	}
	return outcome, err
}
