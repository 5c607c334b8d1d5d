package store

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"banger"
	"banger/internal/records"
)

// CreateSession implements session.Store.
func (s *Store) CreateSession(ctx context.Context, x banger.Session, idempotencyKey string) (session banger.Session, created bool, err error) {
	err = s.write(ctx, "create session "+x.Name, func(t *tx) error {
		vm, err := t.vm(x.VMID)
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
		session, err = t.insertSession(x, idempotencyKey)
		return err
	})
	if err != nil {
		return banger.Session{}, false, err
	}
	return session, created, nil
}

// The queries of one session, in short.
const (
	selectByID  = "SELECT record FROM sessions WHERE vm_id = ? AND id = ?"
	selectByKey = "SELECT record FROM sessions WHERE vm_id = ? AND idempotency_key = nullif(?, '')"
)

// yieldKey takes the idempotency key from a session, and its name if that is wanted.
func (t *tx) yieldKey(holder banger.Session, wanted string) error {
	if err := t.exec("UPDATE sessions SET idempotency_key = NULL WHERE vm_id = ? AND id = ?", string(holder.VMID), string(holder.ID)); err != nil || holder.Name != wanted {
		return err
	}
	suffix := "-" + string(holder.ID[:6])
	holder.Name = strings.ToValidUTF8(holder.Name[:min(len(holder.Name), banger.MaxNameBytes-len(suffix))], "") + suffix
	_, err := t.putSession(holder, true)
	return err
}

func (t *tx) insertSession(x banger.Session, idempotencyKey string) (banger.Session, error) {
	if err := t.sessionNameFree(x); err != nil {
		return x, err
	}
	if x.CreatedAt.IsZero() {
		x.CreatedAt = t.now
	}
	x.UpdatedAt, x.Revision = t.now, t.next()
	launch, err := json.Marshal(x.Launch)
	if err != nil {
		return x, err
	}
	short := records.Short(x)
	record, err := json.Marshal(short)
	if err != nil {
		return x, err
	}
	if err := t.exec("INSERT INTO sessions (id, vm_id, name, idempotency_key, record) VALUES (?, ?, ?, nullif(?, ''), ?)",
		string(x.ID), string(x.VMID), x.Name, idempotencyKey, string(record)); err != nil {
		return x, err
	}
	var seq int64
	if err := t.queryRow("SELECT seq FROM sessions WHERE vm_id = ? AND id = ?", string(x.VMID), string(x.ID)).Scan(&seq); err != nil {
		return x, err
	}
	if err := t.exec("INSERT INTO launches (session, launch) VALUES (?, ?)", seq, string(launch)); err != nil {
		return x, err
	}
	if short, err = t.tellSession(banger.EventSessionCreated, short, record, seq); err != nil {
		return x, err
	}
	return withLaunch(short, launch)
}

// tellSession emits the event of a session, whose document is record and has been written,
// and returns the session as a reader will see it. seq is that of a new one.
func (t *tx) tellSession(kind banger.EventKind, x banger.Session, record []byte, seq int64) (banger.Session, error) {
	x, err := asRead(x, record)
	if err != nil {
		return x, err
	}
	c := listChange{key: x.Key()}
	if kind != banger.EventSessionDeleted {
		c.entry = sessionEntry{seq: seq, session: &x, bytes: len(record)}
	}
	t.sessions = append(t.sessions, c)
	return x, t.emitEvent(banger.Event{Revision: t.next(), Time: t.now, Kind: kind, Session: &x}, record)
}

// UpdateSession implements session.Store.
func (s *Store) UpdateSession(ctx context.Context, key banger.SessionKey, change func(*banger.Session) error) (x banger.Session, err error) {
	err = s.write(ctx, "change session "+string(key.Session), func(t *tx) error {
		before, err := t.session(key)
		if err != nil {
			return err
		}
		x, err = t.changeSession(before, change)
		return err
	})
	return result(x, err)
}

// UpdateSessions implements session.Store. What the lists have is not read again.
func (s *Store) UpdateSessions(ctx context.Context, vm banger.VMID, ids []banger.SessionID, change func(*banger.Session) error) error {
	return s.writeAnyway(ctx, "change sessions", func(t *tx) error {
		seen := make(map[banger.SessionID]bool, len(ids)) // of these the lists may have what was before
		for _, id := range ids {
			key := banger.SessionKey{VM: vm, Session: id}
			before, kept := s.lists.session(key)
			var err error
			if !kept || seen[id] {
				before, err = t.session(key)
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

// changeShared carries out a change of a record that does not write into what the record
// refers to.
func (t *tx) changeShared(before banger.Session, change func(*banger.Session) error) error {
	x := before
	if err := change(&x); err != nil {
		return err
	}
	if err := checkChange(before, &x); err != nil {
		return err
	}
	differs := x.Status != before.Status || x.Sequence != before.Sequence
	if !differs {
		var err error
		if differs, err = changed(before, x); err != nil {
			return err
		}
	}
	if !differs {
		return nil
	}
	_, err := t.putSession(x, x.Name != before.Name)
	return err
}

// changeSession carries out one change of a record and returns what it has become. before
// must be nobody else's: change may write into its maps.
func (t *tx) changeSession(before banger.Session, change func(*banger.Session) error) (banger.Session, error) {
	x := before
	document, err := json.Marshal(before)
	if err != nil {
		return x, err
	}
	if err := change(&x); err != nil {
		return x, err
	}
	if err := checkChange(before, &x); err != nil {
		return x, err
	}
	after, err := json.Marshal(x)
	if err != nil || bytes.Equal(document, after) {
		return x, err
	}
	return t.putSession(x, x.Name != before.Name)
}

// checkChange refuses a change that no record can have, and takes back what only the store
// changes.
func checkChange(before banger.Session, x *banger.Session) error {
	if err := records.CheckTransition(before.SessionState, x.SessionState); err != nil {
		return err
	}
	if x.ID != before.ID || x.VMID != before.VMID {
		return banger.Errorf(banger.CodeInternal, "cannot change session %s: its id became %s of VM %s", before.ID, x.ID, x.VMID)
	}
	x.UpdatedAt, x.Revision, x.Epoch = before.UpdatedAt, before.Revision, before.Epoch
	return nil
}

// putSession replaces a record that has changed and returns it as a reader will
// see it.
func (t *tx) putSession(x banger.Session, renamed bool) (banger.Session, error) {
	if renamed {
		if err := t.sessionNameFree(x); err != nil {
			return x, err
		}
	}
	x.UpdatedAt, x.Revision = t.now, t.next()
	record, err := json.Marshal(x)
	if err != nil {
		return x, err
	}
	if err := t.exec("UPDATE sessions SET name = ?, record = ? WHERE vm_id = ? AND id = ?", x.Name, string(record), string(x.VMID), string(x.ID)); err != nil {
		return x, err
	}
	return t.tellSession(banger.EventSessionChanged, x, record, 0)
}

// DeleteSession implements session.Store.
func (s *Store) DeleteSession(ctx context.Context, key banger.SessionKey) error {
	return s.writeAnyway(ctx, "delete session "+string(key.Session), func(t *tx) error {
		x, err := t.session(key)
		if err != nil {
			return err
		}
		return t.deleteSession(x)
	})
}

// deleteSession deletes a session with its launch.
func (t *tx) deleteSession(x banger.Session) error {
	if err := t.exec("DELETE FROM sessions WHERE vm_id = ? AND id = ?", string(x.VMID), string(x.ID)); err != nil {
		return err
	}
	t.forgets = t.forgets || len(x.EnvNames) > 0
	x.Revision = t.next()
	record, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = t.tellSession(banger.EventSessionDeleted, x, record, 0)
	return err
}

// session returns one in short.
func (t *tx) session(key banger.SessionKey) (banger.Session, error) {
	sessions, err := collect(t.ctx, t, decodeSession, selectByID, string(key.VM), string(key.Session))
	return one(sessions, err, "session", string(key.Session))
}

func (t *tx) sessionNameFree(x banger.Session) error {
	taken, err := t.exists("SELECT 1 FROM sessions WHERE vm_id = ? AND name = ? AND id <> ?", string(x.VMID), x.Name, string(x.ID))
	if err == nil && taken {
		err = banger.Errorf(banger.CodeExists, "cannot name session %q: its VM has one of that name", x.Name).
			WithHint("choose another name, or delete that one with: banger session rm")
	}
	return err
}
