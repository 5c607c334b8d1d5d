package store

import (
	"context"
	"database/sql"
	"slices"

	"banger"
	"banger/internal/records"
)

// wholeSessions returns sessions with their launches, oldest first. where is a condition on
// sessions s.
func wholeSessions(ctx context.Context, q querier, where string, args ...any) ([]banger.Session, error) {
	rows, err := q.QueryContext(ctx, "SELECT s.record, l.launch FROM sessions s JOIN launches l ON l.session = s.seq WHERE "+where+" ORDER BY s.seq", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var sessions []banger.Session
	for rows.Next() {
		var record, launch sql.RawBytes
		if err := rows.Scan(&record, &launch); err != nil {
			return nil, err
		}
		x, err := decodeSession(record)
		if err == nil {
			x, err = withLaunch(x, launch)
		}
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, x)
	}
	return sessions, rows.Err()
}

// withLaunch returns a session that was in short as a whole.
func withLaunch(x banger.Session, launch []byte) (_ banger.Session, err error) {
	x.Launch, err = decode[banger.Launch](launch)
	x.EnvNames, x.LaunchCut = nil, false
	return x, err
}

// readSessions is wholeSessions for callers. Whoever gets a session finds no list that is
// older.
func (s *Sessions) readSessions(ctx context.Context, where string, args ...any) ([]banger.Session, error) {
	leave, err := s.reader.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	sessions, err := wholeSessions(ctx, s.reader.db, where, args...)
	if err != nil {
		return nil, s.reader.explain(ctx, "read sessions", err)
	}
	newest := int64(0)
	for _, x := range sessions {
		newest = max(newest, x.Revision)
	}
	return sessions, s.recent.reached(ctx, newest)
}

// GetSession implements session.Store.
func (s *Sessions) GetSession(ctx context.Context, key banger.SessionKey) (banger.Session, error) {
	sessions, err := s.readSessions(ctx, "s.vm_id = ? AND s.id = ?", string(key.VM), string(key.Session))
	return one(sessions, err, "session", string(key.Session))
}

// FindSession implements session.Store.
func (s *Sessions) FindSession(ctx context.Context, vm banger.VMID, idempotencyKey string) (banger.Session, error) {
	sessions, err := s.readSessions(ctx, "s.vm_id = ? AND s.idempotency_key = nullif(?, '')", string(vm), idempotencyKey)
	sessions = slices.DeleteFunc(sessions, func(x banger.Session) bool { return x.NeverArrived() })
	return one(sessions, err, "session with key", idempotencyKey)
}

// shortSession returns one in short.
func (s *Sessions) shortSession(ctx context.Context, key banger.SessionKey) (banger.Session, error) {
	if x, kept := s.lists.session(key); kept {
		return x, nil
	}
	sessions, err := read(ctx, s.reader, decodeSession, selectByID, string(key.VM), string(key.Session))
	return one(sessions, err, "session", string(key.Session))
}

// sessionRef is what a session is found by.
type sessionRef struct{ id, name string }

// Ref implements records.Named.
func (r sessionRef) Ref() (id, name string) { return r.id, r.name }

// ResolveSession implements session.Store. Only the session that is meant is decoded;
// all names are read for an error, which lists some.
func (s *Sessions) ResolveSession(ctx context.Context, vm banger.VMID, ref string) (banger.Session, error) {
	for _, where := range []string{"s.vm_id = ? AND s.id = ?", "s.vm_id = ? AND s.name = ?"} {
		if sessions, err := s.readSessions(ctx, where, string(vm), ref); err != nil || len(sessions) > 0 {
			return one(sessions, err, "session", ref)
		}
	}
	refs, err := refsWith(ctx, s.reader, vm, ref)
	if err == nil && len(refs) == 0 {
		refs, err = sessionRefs(ctx, s.reader, "SELECT seq, id, name FROM sessions WHERE vm_id = ? ORDER BY seq", string(vm))
	}
	if err != nil {
		return banger.Session{}, err
	}
	found, err := records.Resolve("session", ref, refs)
	if err != nil {
		return banger.Session{}, err
	}
	return s.GetSession(ctx, banger.SessionKey{VM: vm, Session: banger.SessionID(found.id)})
}

// refsWith returns the sessions of a VM whose id or name begins with a prefix.
func refsWith(ctx context.Context, r *reader, vm banger.VMID, prefix string) ([]sessionRef, error) {
	next := []byte(prefix) // becomes the first string that sorts behind all of them
	for len(next) > 0 && next[len(next)-1] == 0xff {
		next = next[:len(next)-1]
	}
	if len(next) == 0 {
		return nil, nil // no text begins so
	}
	next[len(next)-1]++
	return sessionRefs(ctx, r, `SELECT seq, id, name FROM sessions WHERE vm_id = ?1 AND name >= ?2 AND name < ?3
		UNION SELECT seq, id, name FROM sessions WHERE vm_id = ?1 AND id >= ?2 AND id < ?3 ORDER BY seq`, string(vm), prefix, string(next))
}

func sessionRefs(ctx context.Context, r *reader, query string, args ...any) (refs []sessionRef, err error) {
	leave, err := r.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, r.explain(ctx, "find a session", err)
	}
	defer rows.Close()
	for rows.Next() {
		var x sessionRef
		if err := rows.Scan(new(int64), &x.id, &x.name); err != nil {
			return nil, r.explain(ctx, "find a session", err)
		}
		refs = append(refs, x)
	}
	return refs, r.explain(ctx, "find a session", rows.Err())
}
