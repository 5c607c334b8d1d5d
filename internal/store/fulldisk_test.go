//go:build !unit

package store

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"banger"
	"banger/internal/records"
)

// The ends of 10,000 sessions need less of a full disk than the reserve has, if they are
// recorded as those of a machine are: so many at once.
func TestReserve_IsEnoughForTheEndsOfManySessions(t *testing.T) {
	path, fill := fullDisk(t)
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const sessions, atOnce = 10_000, 1000
	vm := makeVMs(t, s, 1)[0]
	var found []records.FoundSession
	for i := range sessions {
		x := banger.Session{ID: banger.NewSessionID(), VMID: vm.ID, Name: fmt.Sprint("s", i), GuestStateDir: strings.Repeat("x", 500)}
		x.Status = banger.StatusRunning
		found = append(found, records.FoundSession{Session: x})
	}
	if _, err := s.Sessions.RestoreSessions(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if _, err := s.database.writer.ExecContext(t.Context(), emptyLog); err != nil { // else the log has room of its own
		t.Fatal(err)
	}
	fill()
	for some := range slices.Chunk(found, atOnce) {
		var ids []banger.SessionID
		for _, x := range some {
			ids = append(ids, x.ID)
		}
		err := s.Sessions.UpdateSessions(t.Context(), vm.ID, ids, func(x *banger.Session) error {
			x.Status, x.EndedBy, x.LastError = banger.StatusFailed, banger.EndedByVMLost, "nobody saw it end: the time of its end is that of its last sign of life"
			return nil
		})
		if err != nil {
			t.Fatalf("a full disk does not take the ends of %d sessions: %v", sessions, err)
		}
	}
	if _, err := os.Stat(path + reserveSuffix); err == nil {
		t.Error("the reserve was not needed: this test shows nothing")
	}
}
