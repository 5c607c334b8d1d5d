package guest_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"banger/internal/guest/guesttest"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// clockGuest is a guest with a clock that the host may set.
type clockGuest struct {
	mu           sync.Mutex // guards the fields below
	wrong        time.Duration
	synchronised bool
	sets         int
}

func (g *clockGuest) answers() guesttest.Answers {
	return guesttest.Answers{
		guestrpc.MethodHello: func(context.Context, json.RawMessage) (any, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return guestapi.GuestHello{Protocol: guestapi.GuestProtocol, BootID: guesttest.BootID,
				Clock: &guestapi.GuestClock{Now: time.Now().Add(g.wrong), Synchronised: g.synchronised}}, nil
		},
		guestrpc.MethodSetClock: func(_ context.Context, params json.RawMessage) (any, error) {
			var p guestrpc.ClockParams
			err := json.Unmarshal(params, &p)
			g.mu.Lock()
			defer g.mu.Unlock()
			g.wrong = time.Until(p.Now)
			g.sets++
			return nil, err
		},
	}
}

// goesWrong makes the clock wrong.
func (g *clockGuest) goesWrong(by time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong = by
}

// expect fails unless the clock was set so often and is right now.
func (g *clockGuest) expect(t *testing.T, sets int, when string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sets != sets || g.wrong.Abs() >= time.Second {
		t.Errorf("%s the clock was set %d times, not %d, and is wrong by %s", when, g.sets, sets, g.wrong)
	}
}

func TestLink_SetsTheClockOfAGuestThatWasPausedOrSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &clockGuest{wrong: -time.Hour}
		r := open(t, always(g.answers().Control()))
		defer r.end()
		r.guest(t)
		g.expect(t, 1, "when the link is up")
		for n, wrong := range []time.Duration{-time.Minute, time.Minute} {
			g.goesWrong(wrong)
			r.Check()
			synctest.Wait()
			g.expect(t, n+2, "after the host was suspended")
		}
		g.goesWrong(-time.Minute)
		time.Sleep(time.Minute) // of the bubble's time: nobody says so
		g.expect(t, 4, "a minute later")
		g.goesWrong(500 * time.Millisecond)
		time.Sleep(time.Hour)
		g.expect(t, 4, "while it is right enough")
	})
}

func TestLink_LeavesAClockAloneThatTheGuestKeepsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &clockGuest{wrong: -time.Hour, synchronised: true}
		r := open(t, always(g.answers().Control()))
		defer r.end()
		r.guest(t)
		time.Sleep(time.Hour)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.sets != 0 {
			t.Errorf("it was set %d times", g.sets)
		}
	})
}
