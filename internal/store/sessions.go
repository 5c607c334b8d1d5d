package store

import (
	"context"

	"banger"
	"banger/internal/records"
)

// Sessions are the records of sessions; they implement session.Store.
type Sessions struct {
	reader  *reader
	writer  *writer
	recent  *recent
	waits   *waits
	lists   *lists
	listing *listing
}

// CreateSession implements session.Store.
func (s *Sessions) CreateSession(ctx context.Context, x banger.Session, idempotencyKey string) (session banger.Session, created bool, err error) {
	err = s.writer.write(ctx, "create session "+x.Name, func(begun *tx) error {
		t := sessionTx{begun}
		vm, err := vmTx(t).get(x.VMID)
		if err != nil {
			return err
		}
		x.Epoch = vm.Epoch
		first, err := collect(t.ctx, t, decodeSession, selectByKey, string(x.VMID), idempotencyKey)
		if err != nil {
			return err
		}
		for _, holder := range first {
			if !holder.NeverArrived() {
				whole, err := wholeSessions(t.ctx, t, "s.vm_id = ? AND s.id = ?", string(holder.VMID), string(holder.ID))
				session, err = one(whole, err, "session", string(holder.ID))
				return err
			}
			if err := t.yieldKey(holder, x.Name); err != nil {
				return err
			}
		}
		created = true
		session, err = t.insert(x, idempotencyKey)
		return err
	})
	if err != nil {
		return banger.Session{}, false, err
	}
	return session, created, nil
}

// RestoreSessions implements session.Store.
func (s *Sessions) RestoreSessions(ctx context.Context, found []records.FoundSession) (restored int, err error) {
	err = s.writer.write(ctx, "restore sessions", func(begun *tx) error {
		t := sessionTx{begun}
		for _, f := range found {
			known, err := t.exists(selectByID, string(f.VMID), string(f.ID))
			if err != nil {
				return err
			}
			if known {
				continue
			}
			if err := t.restore(f); err != nil {
				return err
			}
			restored++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return restored, nil
}

// UpdateSession implements session.Store.
func (s *Sessions) UpdateSession(ctx context.Context, key banger.SessionKey, change func(*banger.Session) error) (x banger.Session, err error) {
	err = s.writer.write(ctx, "change session "+string(key.Session), func(begun *tx) error {
		t := sessionTx{begun}
		before, err := t.get(key)
		if err != nil {
			return err
		}
		x, err = t.change(before, change)
		return err
	})
	return result(x, err)
}

// UpdateSessions implements session.Store. What the lists have is not read again.
func (s *Sessions) UpdateSessions(ctx context.Context, vm banger.VMID, ids []banger.SessionID, change func(*banger.Session) error) error {
	return s.writer.writeAnyway(ctx, "change sessions", func(begun *tx) error {
		t := sessionTx{begun}
		seen := make(map[banger.SessionID]bool, len(ids)) // of these the lists may have what was before
		for _, id := range ids {
			key := banger.SessionKey{VM: vm, Session: id}
			before, kept := s.lists.session(key)
			var err error
			if !kept || seen[id] {
				before, err = t.get(key)
			}
			seen[id] = true
			if banger.CodeOf(err) == banger.CodeNotFound {
				continue
			}
			if err == nil {
				err = t.changeShared(before, change)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteSession implements session.Store.
func (s *Sessions) DeleteSession(ctx context.Context, key banger.SessionKey) error {
	return s.writer.writeAnyway(ctx, "delete session "+string(key.Session), func(begun *tx) error {
		t := sessionTx{begun}
		x, err := t.get(key)
		if err != nil {
			return err
		}
		return t.delete(x)
	})
}
