//go:build !unit

package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/hosttest"
)

// until waits for an event of a session.
func until(t *testing.T, h *hosttest.Host, kind banger.EventKind, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	found := errors.New("found")
	err := h.Store.Events.WatchEvents(ctx, 0, func(e banger.Event) error {
		if e.Kind == kind && e.Session.Name == name {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Fatalf("waited in vain for %s of %s: %v", kind, name, err)
	}
}

func TestRetain_KeepsWhatThePolicySaysWhenSessionsEndAndWhenGuestsComeUp(t *testing.T) {
	h := hosttest.NewWith(t, bin, hosttest.Options{Retention: banger.Retention{Keep: new(2)}})
	vm := h.StartVM(vmName)
	for n := range 4 {
		startIn(t, h, vmName, shell(fmt.Sprint("s", n), "echo"))
	}
	until(t, h, banger.EventSessionDeleted, "s0")
	until(t, h, banger.EventSessionDeleted, "s1")
	start(t, h, shell("running", "read x"))

	// What ends with its machine is kept until that can be reached again.
	h.PowerOff(vm.ID)
	wait(t, h, "running")
	if got := sessionNames(t, h, vmName); !slices.Equal(got, []string{"s2", "s3", "running"}) {
		t.Errorf("of the stopped VM there are %q", got)
	}
	if _, err := h.VMs.StartVM(t.Context(), vmName); err != nil {
		t.Fatal(err)
	}
	until(t, h, banger.EventSessionDeleted, "s2")
	if got := sessionNames(t, h, vmName); !slices.Equal(got, []string{"s3", "running"}) {
		t.Errorf("at last there are %q", got)
	}
}

// systemClock is the host's clock, or a bubble's.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
func (systemClock) Save() error    { return nil }

// errAll ends a watch that has seen everything.
var errAll = errors.New("all of it")

func TestRetain_SessionGoesWhenItGetsTooOld(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.retain(t, banger.Retention{OlderThan: time.Hour}, systemClock{})
		began := time.Now()
		for n := range 3 {
			x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: fmt.Sprint("s", n), SessionState: banger.SessionState{Status: banger.StatusStarting}}
			if _, _, err := r.store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
				t.Fatal(err)
			}
			for sequence, status := range []banger.Status{banger.StatusRunning, banger.StatusExited} {
				if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), report(x.ID, int64(sequence+1), status)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Minute) // of the bubble's time
		}
		gone := map[string]time.Duration{}
		err := r.store.Events.WatchEvents(t.Context(), 0, func(e banger.Event) error {
			if e.Kind == banger.EventSessionDeleted {
				gone[e.Session.Name] = time.Since(began)
			}
			if len(gone) == 3 {
				return errAll
			}
			return nil
		})
		if !errors.Is(err, errAll) {
			t.Fatal(err)
		}
		for n := range 3 {
			if got, want := gone[fmt.Sprint("s", n)], time.Hour+time.Duration(n)*10*time.Minute; got != want {
				t.Errorf("session %d went after %v, want %v", n, got, want)
			}
		}
	})
}

func TestRetain_NoLogIsRemovedBecauseAClockIsWrongOrIsSet(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		clock := &heldClock{}
		clock.set(time.Now())
		r.retain(t, banger.Retention{OlderThan: time.Hour}, clock)
		for n, guestsTime := range []time.Duration{-400 * time.Hour, 0, 400 * time.Hour} {
			x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: fmt.Sprint("s", n), SessionState: banger.SessionState{Status: banger.StatusStarting}}
			if _, _, err := r.store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
				t.Fatal(err)
			}
			ended := report(x.ID, 1, banger.StatusFailed)
			ended.StartedAt, ended.EndedAt = time.Time{}, time.Now().Add(guestsTime)
			if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), ended); err != nil {
				t.Fatal(err)
			}
		}
		clock.set(time.Now().Add(59 * time.Minute))
		time.Sleep(100 * time.Hour) // of the bubble's time: the host's clock is far ahead of what has passed
		synctest.Wait()
		if got := r.names(t); len(got) != 3 {
			t.Errorf("of three sessions there are %q", got)
		}
		clock.set(clock.Now().Add(time.Minute))
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := r.names(t); len(got) != 0 {
			t.Errorf("that are old enough now there are %q", got)
		}
	})
}

// heldClock shows what it was set to.
type heldClock struct {
	systemClock
	mu sync.Mutex // guards at
	at time.Time
}

func (c *heldClock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *heldClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (r *rig) names(t *testing.T) (names []string) {
	t.Helper()
	sessions, err := r.ListSessions(t.Context(), banger.SessionFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range sessions {
		names = append(names, x.Name)
	}
	return names
}

func TestRetain_GuestThatDoesNotAnswerIsAskedAgainWhenItComesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.retain(t, banger.Retention{Keep: new(0)}, systemClock{})
		asked := 0
		r.reach(func(ctx context.Context) (guestapi.Guest, error) {
			asked++
			<-ctx.Done()
			return nil, unavailable(context.Cause(ctx).Error())
		})
		x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: "s", SessionState: banger.SessionState{Status: banger.StatusStarting}}
		if _, _, err := r.store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), report(x.ID, 1, banger.StatusFailed)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour) // of the bubble's time
		synctest.Wait()
		if asked != 1 {
			t.Errorf("the guest was asked for %d times", asked)
		}
		r.get(t)
		r.reach(func(context.Context) (guestapi.Guest, error) { return r.guest, nil })
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestUp(t.Context(), guestapi.GuestHello{BootID: "boot"}, r.guest); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := r.GetSession(t.Context(), vmName, "s"); banger.CodeOf(err) != banger.CodeNotFound || !strings.Contains(err.Error(), "no such session") {
			t.Errorf("the session is still there: %v", err)
		}
	})
}
