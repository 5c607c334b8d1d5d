package store

import (
	"context"

	"banger"
	"banger/internal/records"
)

// ListSessions implements session.Store.
func (s *Sessions) ListSessions(ctx context.Context, vm banger.VMID) ([]banger.Session, error) {
	var sessions []banger.Session
	err := s.listing.each(ctx, vm, 0, func(e sessionEntry) bool {
		sessions = append(sessions, *e.session)
		return true
	})
	return sessions, err
}

// PageSessions implements session.Store.
func (s *Sessions) PageSessions(ctx context.Context, r records.SessionPageRequest) (page []banger.Session, next int64, err error) {
	var places []int64
	more := false
	err = s.listing.each(ctx, r.VM, r.After, func(e sessionEntry) bool {
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
func (s *Sessions) whole(ctx context.Context, list []banger.Session) (sessions []banger.Session, shown int, err error) {
	leave, err := s.reader.enter()
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	left := records.MaxPageBytes
	for shown < len(list) && left > 0 {
		found, err := collect(ctx, s.reader.db, func(document []byte) (banger.Session, error) {
			left -= len(document)
			return withLaunch(list[shown], document)
		}, "SELECT l.launch FROM launches l JOIN sessions s ON s.seq = l.session WHERE s.vm_id = ? AND s.id = ?",
			string(list[shown].VMID), string(list[shown].ID))
		if err != nil {
			return nil, 0, s.reader.explain(ctx, "read sessions", err)
		}
		sessions = append(sessions, found...)
		shown++
	}
	return sessions, shown, nil
}
