//go:build !unit

package session_test

import (
	"fmt"
	"testing"
	"time"

	"banger"
	"banger/internal/records"
)

// Others need the store meanwhile, and a full disk has little room for what one transaction
// writes.
func TestMachineEnd_OfManySessionsIsATransactionForAThousand(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		d, at := disk(t.TempDir()), time.Now().UTC()
		const sessions = 2100
		var found []records.FoundSession
		for i := range sessions {
			x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: fmt.Sprint(i), Launch: banger.Launch{Command: "x", StdinMode: banger.StdinClosed}}
			x.Status, x.Sequence = banger.StatusRunning, 2
			found = append(found, records.FoundSession{Session: x})
			if i%300 == 0 {
				d.put(t, x.ID, "out", at, ended(4, at))
			}
		}
		if _, err := r.store.Sessions.RestoreSessions(t.Context(), found); err != nil {
			t.Fatal(err)
		}
		r.writes.Store(0)
		r.end(t, d.end(at))
		if n := r.writes.Load(); n != 3 {
			t.Errorf("the end of a machine with %d sessions is %d transactions", sessions, n)
		}
		all, err := r.store.Sessions.ListSessions(t.Context(), r.vm.ID)
		if err != nil || len(all) != sessions {
			t.Fatalf("%d sessions, %v", len(all), err)
		}
		for i, x := range all {
			if want := map[bool]banger.EndedBy{true: banger.EndedByExit, false: banger.EndedByVMLost}[i%300 == 0]; x.EndedBy != want {
				t.Errorf("session %d: %+v", i, x.SessionState)
			}
		}
	})
}
