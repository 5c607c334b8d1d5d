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

// clock returns the clock of a machine of banger's own, nil elsewhere.
func (s *server) clock() *guestapi.GuestClock {
	if !s.OwnsClock {
		return nil
	}
	var t unix.Timex
	_, err := unix.Adjtimex(&t) // reads; adjtimex(2)
	return &guestapi.GuestClock{Now: time.Now().UTC(), Synchronised: err == nil && t.Status&unix.STA_UNSYNC == 0}
}

// setClock sets the machine's clock; clock_settime(2).
func (s *server) setClock(_ context.Context, p guestrpc.ClockParams) (none, error) {
	if !s.OwnsClock {
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
