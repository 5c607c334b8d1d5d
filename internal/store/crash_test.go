package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"banger"
)

// crashStoreVar names the store that this program, run as a child, writes to.
const crashStoreVar = "BANGER_TEST_CRASH_STORE"

// writeUntilKilled changes records for ever and prints the revision of each
// change after it was acknowledged.
func writeUntilKilled(path string) {
	ctx := context.Background()
	s, err := Open(ctx, path)
	check(err)
	vms, err := s.VMs.ListVMs(ctx)
	check(err)
	if len(vms) == 0 {
		vm, err := s.VMs.CreateVM(ctx, banger.VM{ID: banger.NewVMID(), Name: "one", State: banger.VMStopped})
		check(err)
		vms = append(vms, vm)
	}
	for {
		id := banger.NewSessionID()
		x, _, err := s.Sessions.CreateSession(ctx, banger.Session{ID: id, VMID: vms[0].ID, Name: string(id),
			SessionState: banger.SessionState{Status: banger.StatusStarting}}, "")
		check(err)
		acknowledge(x.Revision)
		for _, status := range []banger.Status{banger.StatusRunning, banger.StatusExited} {
			x, err = s.Sessions.UpdateSession(ctx, x.Key(), func(x *banger.Session) error { x.Status = status; return nil })
			check(err)
			acknowledge(x.Revision)
		}
		if x.Revision%2 == 0 {
			check(s.Sessions.DeleteSession(ctx, x.Key()))
			acknowledge(x.Revision + 1)
		}
	}
}

func acknowledge(revision int64) {
	_, err := fmt.Println(revision)
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runAndKill kills a writing child with SIGKILL after some acknowledgements and
// returns the last one.
func runAndKill(t *testing.T, path string, after int) (last int64) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashStoreVar+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			t.Fatal(err)
		}
		if n == after {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
	return last
}

// checkHistory replays all events: they must have no hole and lead to the
// records that are there.
func checkHistory(t *testing.T, s *Store, newest int64) {
	t.Helper()
	enough := errors.New("enough")
	want := map[banger.SessionID]banger.Session{}
	seen := int64(0)
	err := s.Events.WatchEvents(t.Context(), 0, func(e banger.Event) error {
		if seen++; e.Revision != seen {
			return fmt.Errorf("event %d came as number %d", e.Revision, seen)
		}
		switch e.Kind {
		case banger.EventSessionDeleted:
			delete(want, e.Session.ID)
		case banger.EventSessionCreated, banger.EventSessionChanged:
			want[e.Session.ID] = *e.Session
		}
		if seen == newest {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	got, err := s.Sessions.ListSessions(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d sessions are there, the events tell of %d", len(got), len(want))
	}
	for _, x := range got {
		if w := want[x.ID]; w.Status != x.Status || w.Revision != x.Revision {
			t.Errorf("session %s is %s at %d, its last event says %s at %d", x.ID, x.Status, x.Revision, w.Status, w.Revision)
		}
	}
}
