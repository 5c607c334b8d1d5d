package httpapi

import (
	"context"
	"sync"
	"time"

	"banger"
	"banger/api"
)

// watchEvents sends events as they happen, and a heartbeat when it is quiet. A
// watch from now on begins with a heartbeat, so that its client knows from where
// to continue after a cut.
func (s *server) watchEvents(ctx context.Context, q api.WatchEventsRequest, send func(api.EventLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := q.Since
	var mu sync.Mutex // guards send and told
	beat := func() error {
		mu.Lock()
		defer mu.Unlock()
		return send(api.EventLine{Event: &banger.Event{Revision: told, Time: time.Now().UTC(), Kind: api.KindHeartbeat}})
	}
	if told < 0 {
		info, err := s.Host.Info(ctx)
		if err != nil {
			return err
		}
		told = info.Revision
		if err := beat(); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		every(ctx, s.heartbeat, beat)
	})
	err := s.Events.WatchEvents(ctx, told, func(e banger.Event) error {
		mu.Lock()
		defer mu.Unlock()
		told = e.Revision
		return send(api.EventLine{Event: &e})
	})
	cancel()
	wg.Wait()
	return err
}

// every calls f at an interval until it fails or ctx ends.
func every(ctx context.Context, interval time.Duration, f func() error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if f() != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
