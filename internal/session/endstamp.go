package session

import (
	"context"
	"time"

	"banger"
	"banger/internal/records"
)

// Clock tells the time by which sessions grow old; steadyclock.Clock is one. Only the
// differences between its times mean something.
type Clock interface {
	Now() time.Time
	// Save makes what it shows last beyond the host's boot.
	Save() error
}

// wallClock is the host's clock, which somebody may set.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now().UTC() }
func (wallClock) Save() error    { return nil }

// stampedStore notes in each record when this host saw its session end. Ages are counted
// from that: EndedAt is told by a guest, whose clock may be any.
type stampedStore struct {
	Store
	clock Clock
}

// CreateSession implements Store.
func (s *stampedStore) CreateSession(ctx context.Context, x banger.Session, key string) (banger.Session, bool, error) {
	if x.Status.Ended() && x.EndSeenAt.IsZero() {
		x.EndSeenAt = s.clock.Now()
	}
	return s.Store.CreateSession(ctx, x, key)
}

// RestoreSessions implements Store.
func (s *stampedStore) RestoreSessions(ctx context.Context, found []records.FoundSession) (int, error) {
	for i := range found {
		if found[i].Status.Ended() {
			found[i].EndSeenAt = s.clock.Now()
		}
	}
	return s.Store.RestoreSessions(ctx, found)
}

// UpdateSession implements Store.
func (s *stampedStore) UpdateSession(ctx context.Context, key banger.SessionKey, change func(*banger.Session) error) (banger.Session, error) {
	return s.Store.UpdateSession(ctx, key, s.stamping(change))
}

// UpdateSessions implements Store.
func (s *stampedStore) UpdateSessions(ctx context.Context, vm banger.VMID, ids []banger.SessionID, change func(*banger.Session) error) error {
	return s.Store.UpdateSessions(ctx, vm, ids, s.stamping(change))
}

func (s *stampedStore) stamping(change func(*banger.Session) error) func(*banger.Session) error {
	return func(x *banger.Session) error {
		had := x.Status.Ended()
		if err := change(x); err != nil {
			return err
		}
		if !had && x.Status.Ended() {
			x.EndSeenAt = s.clock.Now()
		}
		return nil
	}
}
