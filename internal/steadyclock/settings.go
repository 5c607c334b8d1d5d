package steadyclock

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Settings calls fn each time the host's clock has been set, by somebody or because the
// host was suspended, until ctx ends; timerfd_create(2), TFD_TIMER_CANCEL_ON_SET.
func Settings(ctx context.Context, fn func()) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("cannot watch the host's clock: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	defer timer.Close()
	stop := context.AfterFunc(ctx, func() { timer.Close() })
	defer stop()
	for {
		never := unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt64}}
		err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil)
		if err == nil { // else the clock may have been set since the last time
			var expired [8]byte
			_, err = timer.Read(expired[:])
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, unix.ECANCELED):
			fn()
		case err != nil:
			return fmt.Errorf("cannot watch the host's clock: %w", err)
		}
	}
}
