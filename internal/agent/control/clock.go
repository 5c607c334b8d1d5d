package control

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// clock is this machine's.
type clock struct {
	owned bool // the daemon may set it
}

// now returns the clock of a machine of banger's own, nil elsewhere.
func (c clock) now() *guestapi.GuestClock {
	if !c.owned {
		return nil
	}
	var t unix.Timex
	_, err := unix.Adjtimex(&t) // reads; adjtimex(2)
	return &guestapi.GuestClock{Now: time.Now().UTC(), Synchronised: err == nil && t.Status&unix.STA_UNSYNC == 0}
}

// set sets the machine's clock; clock_settime(2).
func (c clock) set(_ context.Context, p guestrpc.ClockParams) (none, error) {
	if !c.owned {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot set the clock: it is not the daemon's to set")
	}
	t, err := unix.TimeToTimespec(p.Now)
	if err == nil {
		err = unix.ClockSettime(unix.CLOCK_REALTIME, &t)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot set the clock to %s: %w", p.Now, err)
	}
	return nil, nil
}
