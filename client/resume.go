package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"banger"
)

// The time between attempts to reach a daemon that has gone doubles from one to
// the other.
const (
	firstDelay = 20 * time.Millisecond
	lastDelay  = 2 * time.Second
)

// resume calls attempt until it returns without a broken connection, or ctx ends.
// A daemon that could never be reached is an error at once; one that was there
// is waited for. attempt must continue where the one before it was cut off, and
// calls alive whenever the daemon answers.
func (c *Client) resume(ctx context.Context, attempt func(alive func()) error) error {
	reached, delay := false, firstDelay
	alive := func() { reached, delay = true, firstDelay }
	for {
		err := attempt(alive)
		switch {
		case isCause[*brokenError](err):
			reached = true
		case !isCause[*dialError](err) || !reached || banger.CodeOf(err) != banger.CodeUnavailable:
			return err
		}
		// Clients that were cut off together do not come back together.
		wait := time.NewTimer(delay/2 + rand.N(delay))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return contextError(ctx)
		}
		delay = min(2*delay, lastDelay)
	}
}

func isCause[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
