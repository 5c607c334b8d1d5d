package store

import (
	"context"

	"banger"
	"banger/internal/records"
)

// scanRows is how many sessions are read at once from the file.
const scanRows = 512

// ListSessions implements session.Store.
func (s *Store) ListSessions(ctx context.Context, vm banger.VMID) ([]banger.Session, error) {
	var sessions []banger.Session
	err := s.eachSession(ctx, vm, 0, func(e sessionEntry) bool {
		sessions = append(sessions, *e.session)
		return true
	})
	return sessions, err
}

// PageSessions implements session.Store.
func (s *Store) PageSessions(ctx context.Context, r records.SessionPageRequest) (page []banger.Session, next int64, err error) {
	var places []int64
	more := false
	err = s.eachSession(ctx, r.VM, r.After, func(e sessionEntry) bool {
		if !r.Match(*e.session) {
			return true
		}
		if more = len(page) == r.Limit; more {
			return false
		}
		page, places = append(page, *e.session), append(places, e.seq)
		return true
	})
	shown := len(page)
	if err == nil && r.Whole {
		page, shown, err = s.whole(ctx, page)
	}
	if err != nil {
		return nil, 0, err
	}
	if more || shown < len(places) {
		next = places[shown-1]
	}
	return page, next, nil
}

// whole returns listed sessions whole, but for those that have been removed since, and how
// many of the list these are: it ends where their launches are MaxPageBytes.
func (s *Store) whole(ctx context.Context, list []banger.Session) (sessions []banger.Session, shown int, err error) {
	leave, err := s.enter()
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	left := records.MaxPageBytes
	for shown < len(list) && left > 0 {
		found, err := collect(ctx, s.readers, func(document []byte) (banger.Session, error) {
			left -= len(document)
			return withLaunch(list[shown], document)
		}, "SELECT l.launch FROM launches l JOIN sessions s ON s.seq = l.session WHERE s.vm_id = ? AND s.id = ?",
			string(list[shown].VMID), string(list[shown].ID))
		if err != nil {
			return nil, 0, s.explain(ctx, "read sessions", err)
		}
		sessions = append(sessions, found...)
		shown++
	}
	return sessions, shown, nil
}

// eachSession calls each with the sessions in short after a place, of a VM or of all, oldest
// first, until it returns false.
func (s *Store) eachSession(ctx context.Context, vm banger.VMID, after int64, each func(sessionEntry) bool) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	kept, worth := s.lists.get(vm, after, each)
	if !kept && worth {
		if err := s.loadSessions(ctx); err != nil {
			return err
		}
		kept, _ = s.lists.get(vm, after, each)
	}
	if kept {
		return nil
	}
	return s.scan(ctx, vm, after, each)
}

// loadSessions reads all sessions into the lists, unless somebody else has meanwhile or
// they are too many.
func (s *Store) loadSessions(ctx context.Context) (err error) {
	select {
	case s.loading <- struct{}{}:
		defer func() { <-s.loading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	none := func(sessionEntry) bool { return false }
	if kept, worth := s.lists.get("", 0, none); kept || !worth {
		return nil
	}
	s.lists.beginLoad()
	var entries []sessionEntry
	bytes := 0
	err = s.scan(ctx, "", 0, func(e sessionEntry) bool {
		entries, bytes = append(entries, e), bytes+e.bytes
		return bytes <= maxListBytes
	})
	tooMany := bytes > maxListBytes
	var list *sessionList
	if err == nil && !tooMany {
		list = newSessionList(entries)
	}
	s.lists.endLoad(list, tooMany)
	return err
}

// scan is eachSession from the file. Whoever has seen a session finds no list that is older.
func (s *Store) scan(ctx context.Context, vm banger.VMID, after int64, each func(sessionEntry) bool) error {
	query, args := "SELECT seq, record FROM sessions WHERE seq > ? ORDER BY seq LIMIT ?", []any{after, scanRows}
	if vm != "" {
		query, args = "SELECT seq, record FROM sessions WHERE vm_id = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2", []any{after, scanRows, string(vm)}
	}
	for {
		entries, err := s.scanPage(ctx, query, args...)
		if err != nil {
			return s.explain(ctx, "read sessions", err)
		}
		newest := int64(0)
		for _, e := range entries {
			newest = max(newest, e.session.Revision)
		}
		if err := s.recent.reached(ctx, newest); err != nil {
			return err
		}
		for _, e := range entries {
			if !each(e) {
				return nil
			}
			args[0] = e.seq
		}
		if len(entries) < scanRows {
			return nil
		}
	}
}

func (s *Store) scanPage(ctx context.Context, query string, args ...any) (entries []sessionEntry, err error) {
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e sessionEntry
		var record []byte
		if err := rows.Scan(&e.seq, &record); err != nil {
			return nil, err
		}
		x, err := decodeSession(record)
		if err != nil {
			return nil, err
		}
		e.session, e.bytes = &x, len(record)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}
