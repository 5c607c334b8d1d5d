//go:build !unit

package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// endedSessions puts sessions that have ended on a VM's disk and into the store, with
// reports of that size.
func endedSessions(t *testing.T, create func(banger.Session) error, dir string, vm banger.VMID, count, bytes int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		x := banger.Session{ID: banger.NewSessionID(), VMID: vm, Name: fmt.Sprintf("s%d", i), Launch: banger.Launch{Command: "true", StdinMode: banger.StdinClosed}}
		x.Status, x.EndedBy, x.ExitCode = banger.StatusExited, banger.EndedByExit, new(int)
		x.Sequence, x.StartedAt, x.EndedAt = 3, time.Now().UTC(), time.Now().UTC()
		x.LastError, x.LaunchMessage, x.LaunchRawLog = strings.Repeat("x", bytes/6), strings.Repeat("x", bytes/6), strings.Repeat("x", bytes*2/3)
		state := sessiondir.State{ID: x.ID, SessionState: x.SessionState, BootID: "00000000-0000-4000-8000-000000000000"}
		session := filepath.Join(dir, string(x.ID))
		if err := os.Mkdir(session, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := sessiondir.PutState(session, state); err != nil {
			t.Fatal(err)
		}
		x.Sequence = 2 // the guest knows more
		if err := create(x); err != nil {
			t.Fatal(err)
		}
	}
}

// However many sessions have ended in a VM, its link comes up, and they can be listed,
// removed and pruned. Their reports together are longer than a message may be.
func TestSessions_AnyNumberOfEndedOnesLeavesAVMUsable(t *testing.T) {
	count, bytes := 100, 48_000
	if os.Getenv("BANGER_FAULT_FULL") != "" {
		count, bytes = 100_000, 0
	}
	h := newHost(t)
	vm, err := h.VMs.GetVM(t.Context(), vmName)
	if err != nil {
		t.Fatal(err)
	}
	endedSessions(t, func(x banger.Session) error {
		_, _, err := h.Store.Sessions.CreateSession(t.Context(), x, "")
		return err
	}, h.SessionsDir(vm.ID), vm.ID, count, bytes)
	began := time.Now()
	step := func(what string) {
		t.Logf("%s after %s", what, time.Since(began).Round(time.Millisecond))
	}
	h.Restart() // which goes through all
	step("a new daemon serves")
	startIn(t, h, vmName, shell("first", "true"))
	step("a session has run")
	all, err := h.Sessions.ListSessions(t.Context(), banger.SessionFilter{VM: vmName})
	if err != nil || len(all) != count+1 {
		t.Fatalf("%d sessions are listed, %v", len(all), err)
	}
	for _, x := range all {
		if x.Name != "first" && x.Sequence != 3 {
			t.Fatalf("what the guest knew was not taken in: %+v", x.SessionState)
		}
	}
	step("they are listed")
	h.Cut()
	startIn(t, h, vmName, shell("second", "true"))
	step("a session has run after a reconnect")
	if err := h.Sessions.RemoveSession(t.Context(), vmName, "s7", false); err != nil {
		t.Error(err)
	}
	result, err := h.Sessions.PruneSessions(t.Context(), banger.PruneRequest{VM: vmName, Retention: banger.Retention{Keep: new(count / 2)}})
	if err != nil || len(result.Removed) != count-count/2+1 || len(result.Left) != 0 {
		t.Errorf("%d sessions were removed, %d are left, %v", len(result.Removed), len(result.Left), err)
	}
	step("half are pruned")
	if names, err := os.ReadDir(h.SessionsDir(vm.ID)); err != nil || len(names) != count/2 {
		t.Errorf("%d sessions are on the disk, %v", len(names), err)
	}
}
