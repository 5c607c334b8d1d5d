//go:build !unit

package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"banger"
	"banger/internal/guestbudget"
)

func TestPace_OneGuestCannotKeepTheStoreBusyAndItsLastWordIsRecorded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		noisy, quiet := r.known(t, "noisy", banger.StatusRunning), r.known(t, "quiet", banger.StatusRunning)
		guest := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch)
		for _, x := range []banger.Session{noisy, quiet} {
			if err := guest.GuestChanged(t.Context(), report(x.ID, 3, banger.StatusRunning)); err != nil {
				t.Fatal(err)
			}
		}
		r.writes.Store(0)
		const changes = 20 * guestbudget.StoreWritesAtOnce
		for i := range int64(changes) {
			told := report(noisy.ID, 4+i, banger.StatusRunning)
			told.StdoutBytes = i + 1
			if err := guest.GuestChanged(t.Context(), told); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.writes.Load(); n > guestbudget.StoreWritesAtOnce+1 {
			t.Errorf("%d changes at once are %d transactions", changes, n)
		}
		// Meanwhile the end of another session waits for nothing.
		if err := guest.GuestChanged(t.Context(), report(quiet.ID, 4, banger.StatusExited)); err != nil {
			t.Fatal(err)
		}
		if x := r.named(t, "quiet"); x.Status != banger.StatusExited {
			t.Errorf("the end of the other session: %+v", x.SessionState)
		}
		time.Sleep(time.Second) // of the bubble: the next token comes
		synctest.Wait()
		if x := r.named(t, "noisy"); x.StdoutBytes != changes || x.Status != banger.StatusRunning {
			t.Errorf("what was said last is not recorded: %+v", x.SessionState)
		}
		if n := r.writes.Load(); n > guestbudget.StoreWritesAtOnce+3 {
			t.Errorf("all in all they are %d transactions", n)
		}
	})
}

func TestPace_StepsThatCannotBeAreNoWayAroundIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := r.known(t, "x", banger.StatusRunning)
		guest := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch)
		if err := guest.GuestChanged(t.Context(), report(x.ID, 3, banger.StatusRunning)); err != nil {
			t.Fatal(err)
		}
		r.writes.Store(0)
		for i := range int64(20 * guestbudget.StoreWritesAtOnce) {
			if err := guest.GuestChanged(t.Context(), report(x.ID, 4+i, banger.StatusStarting)); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.writes.Load(); n > guestbudget.StoreWritesAtOnce+1 {
			t.Errorf("there were %d transactions", n)
		}
	})
}
