package steadyclock

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fakeHost is a host whose clocks a test sets.
type fakeHost struct {
	boot         string
	uptime       time.Duration
	wall         time.Time
	synchronised bool
}

func (h *fakeHost) BootID() (string, error)        { return h.boot, nil }
func (h *fakeHost) Uptime() (time.Duration, error) { return h.uptime, nil }
func (h *fakeHost) Wall() time.Time                { return h.wall }
func (h *fakeHost) Synchronised() bool             { return h.synchronised }

// pass lets time go by, the host being on.
func (h *fakeHost) pass(d time.Duration) { h.uptime, h.wall = h.uptime+d, h.wall.Add(d) }

// reboot switches the host off for a while.
func (h *fakeHost) reboot(off time.Duration) {
	h.boot, h.uptime, h.wall, h.synchronised = h.boot+"x", 0, h.wall.Add(off), false
}

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newHost() *fakeHost {
	return &fakeHost{boot: "a", uptime: time.Hour, wall: begin, synchronised: true}
}

func openFake(t testing.TB, file string, h *fakeHost) *Clock {
	t.Helper()
	c, err := open(file, func() time.Time { return time.Time{} }, h)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClock_SettingTheHostsClockDoesNotMoveIt(t *testing.T) {
	h, file := newHost(), filepath.Join(t.TempDir(), "clock")
	c := openFake(t, file, h)
	for _, jump := range []time.Duration{30 * 24 * time.Hour, -60 * 24 * time.Hour, 40 * 365 * 24 * time.Hour} {
		h.wall = h.wall.Add(jump)
		h.pass(time.Minute)
	}
	if got := c.Now().Sub(begin); got != 3*time.Minute {
		t.Errorf("the clock is at %s", got)
	}
	h.wall = h.wall.Add(-time.Hour) // and a daemon that is killed and starts again
	h.pass(time.Minute)
	if got := openFake(t, file, h).Now().Sub(begin); got != 4*time.Minute {
		t.Errorf("the next one is at %s", got)
	}
}

func TestClock_TimeForWhichTheHostWasOffCountsOnceItIsKnown(t *testing.T) {
	h, file := newHost(), filepath.Join(t.TempDir(), "clock")
	c := openFake(t, file, h)
	h.pass(time.Hour)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Minute)
	h.reboot(48 * time.Hour)
	h.pass(time.Minute)
	c = openFake(t, file, h)
	if got := c.Now().Sub(begin); got != time.Hour+time.Minute {
		t.Errorf("before the host knows the time: %s", got)
	}
	h.pass(time.Minute)
	c = openFake(t, file, h) // the daemon dies meanwhile
	h.synchronised = true
	if got := c.Now().Sub(begin); got != 49*time.Hour+3*time.Minute {
		t.Errorf("when it does: %s", got)
	}
	h.pass(time.Minute)
	h.synchronised = false
	if got := openFake(t, file, h).Now().Sub(begin); got != 49*time.Hour+4*time.Minute {
		t.Errorf("later: %s", got)
	}
}

func TestClock_ADeadBatteryCountsNothing(t *testing.T) {
	for _, synchronised := range []bool{true, false} { // before
		h, file := newHost(), filepath.Join(t.TempDir(), "clock")
		h.synchronised = synchronised
		openFake(t, file, h)
		h.reboot(0)
		h.wall = time.Unix(0, 0)
		c := openFake(t, file, h)
		if got := c.Now().Sub(begin); got != 0 {
			t.Errorf("in 1970: %s", got)
		}
		h.wall = begin.Add(100 * 365 * 24 * time.Hour)
		h.pass(time.Second)
		if got := c.Now().Sub(begin); got != time.Second {
			t.Errorf("a hundred years on: %s", got)
		}
	}
}

func TestClock_BeginsWhereItIsToldWithoutAFile(t *testing.T) {
	h, file := newHost(), filepath.Join(t.TempDir(), "clock")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := open(file, func() time.Time { return begin.Add(-time.Hour) }, h)
	if err == nil || c == nil || !c.Now().Equal(begin.Add(-time.Hour)) {
		t.Errorf("from a damaged file: %v, %v", c, err)
	}
	if got := openFake(t, file, h).Now(); !got.Equal(begin.Add(-time.Hour)) {
		t.Errorf("it is not mended: %s", got)
	}
}

// TestClock_NeverRunsAheadOfRealTime is what retention stands on.
func TestClock_NeverRunsAheadOfRealTime(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		h, file := newHost(), filepath.Join(dir, rapid.StringMatching(`[a-z]{16}`).Draw(rt, "file"))
		c := openFake(t, file, h)
		truth, last := begin, begin
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			rebooted := false
			d := time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(rt, "time"))
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				h.pass(d)
				truth = truth.Add(d)
			case 1: // its clock is set, by somebody who may be wrong
				h.wall, h.synchronised = h.wall.Add(d-50*time.Hour), false
			case 2: // by whoever knows
				h.wall, h.synchronised = truth, true
			case 3:
				h.reboot(d)
				rebooted = true
				truth = truth.Add(d)
				c = openFake(t, file, h)
			case 4:
				c = openFake(t, file, h)
			case 5:
				if err := c.Save(); err != nil {
					rt.Fatal(err)
				}
			}
			now := c.Now()
			if now.After(truth) || now.Before(last) && !rebooted {
				rt.Fatalf("the clock shows %s, it is %s, and before it was %s", now, truth, last)
			}
			last = now
		}
	})
}

func TestSystem_TellsTheTimeSinceTheBoot(t *testing.T) {
	c, err := Open(filepath.Join(t.TempDir(), "clock"), func() time.Time { return time.Time{} })
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(c.Now()).Abs(); d > time.Minute {
		t.Errorf("a new clock is %s from the host's", d)
	}
}
