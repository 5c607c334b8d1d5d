package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/records"
)

// loseSessions has the record of the VM say that sessions may be missing, and its guest
// answer only when back is called, which gives the missing session s its record first.
func loseSessions(t *testing.T, r *rig, key string) (lost banger.Session, back func()) {
	t.Helper()
	set := func(unknown bool) {
		if _, err := r.store.VMs.UpdateVM(t.Context(), r.vm.ID, func(vm *banger.VM) error {
			vm.SessionsUnknown = unknown
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	set(true)
	up := make(chan struct{})
	r.reach(func(ctx context.Context) (guestapi.Guest, error) {
		select {
		case <-up:
			return r.guest, nil
		case <-ctx.Done():
			return nil, unavailable("no answer")
		}
	})
	lost = banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: "s"}
	lost.Status, lost.StartedAt = banger.StatusRunning, time.Now().UTC()
	return lost, func() {
		if _, err := r.store.Sessions.RestoreSessions(t.Context(), []records.FoundSession{{Session: lost, IdempotencyKey: key}}); err != nil {
			t.Error(err)
		}
		set(false)
		close(up)
	}
}

func TestUnknownSessions_AreWaitedForAndNotDenied(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		lost, back := loseSessions(t, r, "key")
		found, started := make(chan banger.Session, 1), r.begin(t, "key")
		go func() { found <- r.get(t) }()
		synctest.Wait()
		select {
		case x := <-found:
			t.Fatalf("found %+v", x)
		case x := <-started:
			t.Fatalf("started %+v", x)
		default:
		}
		back()
		if x := <-found; x.ID != lost.ID {
			t.Errorf("found %+v", x)
		}
		// What was asked for before the store was lost is not started a second time.
		if x := <-started; x.ID != lost.ID {
			t.Errorf("a start with the key of a session made %+v", x)
		}
	})
}

func TestUnknownSessions_OfASilentGuestAreNotSaidToBeNone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		loseSessions(t, r, "key")
		if x, err := r.GetSession(t.Context(), vmName, "s"); banger.CodeOf(err) != banger.CodeUnavailable {
			t.Errorf("found %+v, %v", x, err)
		}
		request := shell("s", "true")
		request.IdempotencyKey = "key"
		if x, err := r.StartSession(t.Context(), vmName, request); banger.CodeOf(err) != banger.CodeUnavailable {
			t.Errorf("started %+v, %v", x, err)
		}
	})
}
