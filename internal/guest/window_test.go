//go:build !unit

package guest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLink_CallsEndWithTheirContextThoughTheGuestReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		thaw := make(chan struct{})
		r := open(t, always(frozen(thaw)))
		defer r.end()
		defer close(thaw)
		g := r.guest(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		const calls = 40 // more than an SSH window
		ended := make(chan error, calls)
		for range calls {
			go func() {
				_, err := g.Launch(ctx, large)
				ended <- err
			}()
		}
		start := time.Now()
		for range calls {
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("a call of one second took %v", took)
		}
	})
}
