package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"banger/internal/paths"
	"banger/internal/steadyclock"
	"banger/internal/store"
)

// agesClock opens the clock by which ended sessions grow old. Without its state it begins
// when the last session changed, so that none has grown older by that.
func agesClock(ctx context.Context, p paths.Paths, records *store.Store, log *slog.Logger) (*steadyclock.Clock, error) {
	var listErr error
	clock, err := steadyclock.Open(p.AgesClock(), func() (last time.Time) {
		sessions, err := records.ListSessions(ctx, "")
		listErr = err
		for _, x := range sessions {
			for _, t := range []time.Time{x.EndSeenAt, x.UpdatedAt} {
				if t.After(last) {
					last = t
				}
			}
		}
		return last
	})
	if clock == nil || listErr != nil {
		return nil, errors.Join(err, listErr)
	}
	if err != nil {
		log.Warn("the clock that ages are counted by is not as it was", "cause", err)
	}
	return clock, nil
}
