package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"banger/internal/guest"
	"banger/internal/paths"
	"banger/internal/steadyclock"
	"banger/internal/store"
)

// agesClock opens the clock by which ended sessions grow old. Without its state it begins
// when the last session changed, so that none has grown older by that.
func agesClock(ctx context.Context, p paths.Paths, records *store.Sessions, log *slog.Logger) (*steadyclock.Clock, error) {
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

// watchClock has guests asked how they are when the host's clock was set, as it is when
// the host wakes from a suspend. The function that it returns ends that.
func watchClock(ctx context.Context, links *guest.Links, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := steadyclock.Settings(ctx, links.Check); ctx.Err() == nil {
			log.Warn("guests will notice late that the host was suspended", "cause", err)
		}
	})
	return func() {
		cancel()
		watching.Wait()
	}
}
