package daemon

import (
	"context"
	"log/slog"
	"sync"

	"banger/internal/guest"
	"banger/internal/netchange"
)

// watchNetwork has remote hosts that are away tried again when the network has changed. The
// function that it returns ends that.
func watchNetwork(ctx context.Context, links *guest.Links, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := netchange.Watch(ctx, links.NetworkChanged); ctx.Err() == nil {
			log.Warn("remote hosts will be found late after a change of the network", "cause", err)
		}
	})
	return func() {
		cancel()
		watching.Wait()
	}
}
