package guest

import (
	"context"
	"time"

	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// maxClockError is by how much a guest's clock may be wrong before it is set: more than
// a request takes on a busy host.
const maxClockError = time.Second

// setClock sets the clock of a guest of ours that has gone wrong: it stands still while
// its host is suspended or its machine is paused. A guest that keeps its clock right by
// itself, and a remote host, are left alone.
func (k *link) setClock(ctx context.Context, c *control, hello guestapi.GuestHello) {
	clock := hello.Clock
	if clock == nil || clock.Synchronised {
		return
	}
	now := time.Now()
	if wrong := now.Sub(clock.Now); wrong.Abs() > maxClockError {
		k.log.Info("setting the guest's clock", "by", wrong)
		if err := c.call(ctx, guestrpc.MethodSetClock, guestrpc.ClockParams{Now: now.UTC()}, nil); err != nil {
			k.log.Warn("cannot set the guest's clock", "cause", err)
		}
	}
}
