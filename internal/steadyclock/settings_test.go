//go:build !unit

package steadyclock

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSettings_AreToldEachTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	settings, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() { ended <- Settings(ctx, func() { settings <- struct{}{} }) }()
	for range 2 {
		deadline := time.After(30 * time.Second)
	told:
		for {
			// The clock is set by a nanosecond. The first time may come before anybody watches.
			if _, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_SETOFFSET | unix.ADJ_NANO, Time: unix.Timeval{Usec: 1}}); err != nil {
				t.Fatalf("cannot set the host's clock, as root may: %v", err)
			}
			select {
			case <-settings:
				break told
			case <-time.After(10 * time.Millisecond):
			case <-deadline:
				t.Fatal("nobody was told")
			}
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// A clock that is set while somebody begins to watch it, again and again.
func TestSettings_ThatFollowEachOtherAtOnceEndNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	const enough = 2000
	told := 0
	ended := make(chan error, 1)
	go func() {
		ended <- Settings(ctx, func() {
			if told++; told == enough {
				cancel()
			}
		})
	}()
	for {
		if _, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_SETOFFSET | unix.ADJ_NANO, Time: unix.Timeval{Usec: 1}}); err != nil {
			t.Fatalf("cannot set the host's clock, as root may: %v", err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it ended after %d settings with %v", told, err)
			}
			return
		default:
		}
	}
}
