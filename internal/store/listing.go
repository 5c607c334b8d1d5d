package store

import (
	"context"

	"banger"
)

// scanRows is how many sessions are read at once from the file.
const scanRows = 512

// listing goes through all sessions, which it reads from the file unless they are kept.
// Safe for concurrent use.
type listing struct {
	reader  *reader
	recent  *recent
	lists   *lists
	loading chan struct{} // has room for one; held while all sessions are read into lists
}

// each calls each with the sessions in short after a place, of a VM or of all, oldest
// first, until it returns false.
func (l *listing) each(ctx context.Context, vm banger.VMID, after int64, each func(sessionEntry) bool) error {
	leave, err := l.reader.enter()
	if err != nil {
		return err
	}
	defer leave()
	kept, worth := l.lists.get(vm, after, each)
	if !kept && worth {
		if err := l.load(ctx); err != nil {
			return err
		}
		kept, _ = l.lists.get(vm, after, each)
	}
	if kept {
		return nil
	}
	return l.scan(ctx, vm, after, each)
}

// load reads all sessions into the lists, unless somebody else has meanwhile or
// they are too many.
func (l *listing) load(ctx context.Context) (err error) {
	select {
	case l.loading <- struct{}{}:
		defer func() { <-l.loading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	none := func(sessionEntry) bool { return false }
	if kept, worth := l.lists.get("", 0, none); kept || !worth {
		return nil
	}
	l.lists.beginLoad()
	var entries []sessionEntry
	bytes := 0
	err = l.scan(ctx, "", 0, func(e sessionEntry) bool {
		entries, bytes = append(entries, e), bytes+e.bytes
		return bytes <= maxListBytes
	})
	tooMany := bytes > maxListBytes
	var list *sessionList
	if err == nil && !tooMany {
		list = newSessionList(entries)
	}
	l.lists.endLoad(list, tooMany)
	return err
}

// scan is each from the file. Whoever has seen a session finds no list that is older.
func (l *listing) scan(ctx context.Context, vm banger.VMID, after int64, each func(sessionEntry) bool) error {
	query, args := "SELECT seq, record FROM sessions WHERE seq > ? ORDER BY seq LIMIT ?", []any{after, scanRows}
	if vm != "" {
		query, args = "SELECT seq, record FROM sessions WHERE vm_id = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2", []any{after, scanRows, string(vm)}
	}
	for {
		entries, err := l.scanPage(ctx, query, args...)
		if err != nil {
			return l.reader.explain(ctx, "read sessions", err)
		}
		newest := int64(0)
		for _, e := range entries {
			newest = max(newest, e.session.Revision)
		}
		if err := l.recent.reached(ctx, newest); err != nil {
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

func (l *listing) scanPage(ctx context.Context, query string, args ...any) (entries []sessionEntry, err error) {
	rows, err := l.reader.db.QueryContext(ctx, query, args...)
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
