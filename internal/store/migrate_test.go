//go:build !unit

package store

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/internal/records"
)

// secret is the value of a variable in the store of schema 1, and of others in tests.
const secret = "hunter2-the-value"

// schema1 returns the path of a store as the last version with schema 1 has left it: four
// sessions with their environments, one of them removed.
func schema1(t *testing.T) string { return fixture(t, "schema1") }

// fixture returns the path of a copy of a store in testdata.
func fixture(t *testing.T, name string) string {
	t.Helper()
	packed, err := os.Open("testdata/" + name + ".db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	content, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(secret)) {
		t.Fatal("the fixture has no value of an environment")
	}
	path := testPath(t)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// countSecret returns how often the files of a store have the secret.
func countSecret(t *testing.T, path string) (n int) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		n += bytes.Count(data, []byte(secret))
	}
	return n
}

func TestMigration_KeepsSessionsAndTakesValuesOutOfEvents(t *testing.T) {
	path := schema1(t)
	s := openTest(t, path)
	list, err := s.Sessions.ListSessions(t.Context(), "")
	if err != nil || len(list) != 3 {
		t.Fatalf("%d sessions, %v", len(list), err)
	}
	for i, short := range list {
		x, err := s.Sessions.GetSession(t.Context(), short.Key())
		if err != nil {
			t.Fatal(err)
		}
		if words := len(x.Args); words != []int{3, 600, 3}[i] || x.Env["TOKEN"] != secret || x.Env["LANG"] != "\x80C" || x.Limits.PIDs != 9 {
			t.Errorf("session %s: %d arguments, %+v", x.ID, words, x.Launch)
		}
		if x.Status != banger.StatusExited || x.Tags["k"] != "v" || x.Name == "" || x.Revision == 0 {
			t.Errorf("session %s: %+v", x.ID, x)
		}
		if diff := cmp.Diff(records.Short(x), short); diff != "" {
			t.Errorf("session %s in short (-want +got):\n%s", x.ID, diff)
		}
		if again, err := s.Sessions.FindSession(t.Context(), x.VMID, "key"+x.Name[1:]); err != nil || again.ID != x.ID {
			t.Errorf("the key of %s leads to %s, %v", x.ID, again.ID, err)
		}
	}
	checkMigratedEvents(t, s)
	checkKept(t, s, limits{events: maxEvents, bytes: maxEventBytes})
	if n := countSecret(t, path); n != 3 {
		t.Errorf("the files have the value %d times, for 3 sessions", n)
	}
}

// checkMigratedEvents checks that each event has what it had but for the values.
func checkMigratedEvents(t *testing.T, s *Store) {
	t.Helper()
	newest, err := s.Events.Revision(t.Context())
	if err != nil || newest != 15 {
		t.Fatalf("revision %d, %v", newest, err)
	}
	enough := errors.New("enough")
	err = s.Events.WatchEvents(t.Context(), 0, func(e banger.Event) error {
		if x := e.Session; x != nil && (x.Env != nil || !cmp.Equal(x.EnvNames, []string{"LANG", "TOKEN"}) || x.LaunchCut != (x.Name == "s1") || x.Revision != e.Revision) {
			t.Errorf("event %d: %+v", e.Revision, x)
		}
		if e.Revision == newest {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestEnvironment_IsNowhereOnceItsSessionIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openTest(t, path)
	vm := createVM(t, s, "v")
	x, _, err := s.Sessions.CreateSession(t.Context(), banger.Session{ID: "x", VMID: vm.ID, Name: "x", Launch: banger.Launch{
		Command: "sh", Env: map[string]banger.ByteString{"TOKEN": secret},
	}, SessionState: banger.SessionState{Status: banger.StatusStarting}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sessions.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error { x.Status = banger.StatusExited; return nil }); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Sessions.GetSession(t.Context(), x.Key()); err != nil || got.Env["TOKEN"] != secret {
		t.Errorf("while it is there: %+v, %v", got.Env, err)
	}
	if err := s.Sessions.DeleteSession(t.Context(), x.Key()); err != nil {
		t.Fatal(err)
	}
	if n := countSecret(t, path); n != 0 {
		t.Errorf("the value is in the files %d times", n)
	}
}

// The fixture is a store as the last version with schema 4 has left it: two VMs, each with
// three sessions, and one that was removed.
func TestMigration_GivesEachVMAndItsSessionsTheirFirstEpoch(t *testing.T) {
	path := fixture(t, "schema4")
	s := openTest(t, path)
	vms, err := s.VMs.ListVMs(t.Context())
	if err != nil || len(vms) != 2 {
		t.Fatalf("%d VMs, %v", len(vms), err)
	}
	for _, vm := range vms {
		if vm.Epoch != banger.Epoch(vm.ID) || vm.ParentEpoch != "" || string(vm.Machine) != `{"pid":7}` {
			t.Errorf("%+v", vm)
		}
		list, err := s.Sessions.ListSessions(t.Context(), vm.ID)
		if err != nil || len(list) != 3 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
		for i, short := range list {
			x, err := s.Sessions.GetSession(t.Context(), short.Key())
			if err != nil {
				t.Fatal(err)
			}
			if x.Epoch != vm.Epoch || x.Name != fmt.Sprint("s", i) || x.Status != banger.StatusRunning || x.StdoutBytes != int64(100*i) || x.Env["TOKEN"] != secret {
				t.Errorf("%+v", x)
			}
			if diff := cmp.Diff(records.Short(x), short); diff != "" {
				t.Errorf("session %s in short (-want +got):\n%s", x.ID, diff)
			}
			if again, err := s.Sessions.FindSession(t.Context(), vm.ID, fmt.Sprint("key", i)); err != nil || again.ID != x.ID {
				t.Errorf("the key of %s leads to %s, %v", x.ID, again.ID, err)
			}
			twin := x
			twin.VMID = vms[0].ID
			if vm.ID == twin.VMID {
				twin.VMID = vms[1].ID
			}
			twin.Name += " twin"
			if _, _, err := s.Sessions.CreateSession(t.Context(), twin, ""); err != nil {
				t.Errorf("the other VM cannot have a session with the same id: %v", err)
			}
			if err := s.Sessions.DeleteSession(t.Context(), twin.Key()); err != nil {
				t.Error(err)
			}
		}
	}
	enough := errors.New("enough")
	err = s.Events.WatchEvents(t.Context(), 0, func(e banger.Event) error {
		switch {
		case e.VM != nil && e.VM.Epoch != banger.Epoch(e.VM.ID), e.Session != nil && e.Session.Epoch != banger.Epoch(e.Session.VMID):
			t.Errorf("event %d is of no epoch: %+v", e.Revision, e)
		case e.Revision == s.Events.recent.revision():
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
	checkKept(t, s, limits{events: maxEvents, bytes: maxEventBytes})
	if n := countSecret(t, path); n != 6 {
		t.Errorf("the files have the value %d times, for 6 sessions", n)
	}
}

// The oldest epochs that nobody needs are forgotten, and no other.
func TestEpochs_AreBounded(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	var first banger.VM
	for n := range 5 {
		var err error
		if first, err = s.VMs.BeginEpoch(t.Context(), banger.VM{ID: vm.ID, Epoch: banger.NewEpoch(), ParentEpoch: vm.Epoch}, nil); err != nil {
			t.Fatal(n, err)
		}
	}
	_, err := s.database.writer.ExecContext(t.Context(), `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO epochs SELECT 'made-' || i, ?, ?, ? + i FROM n`, maxEpochs, string(vm.Epoch), string(vm.Epoch), time.Now().UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	now, err := s.VMs.BeginEpoch(t.Context(), banger.VM{ID: vm.ID, Epoch: banger.NewEpoch(), ParentEpoch: first.Epoch}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var count, needed int
	if err := s.database.readers.QueryRowContext(t.Context(), "SELECT count(*) FROM epochs").Scan(&count); err != nil || count != maxEpochs {
		t.Errorf("%d epochs are kept, %v", count, err)
	}
	err = s.database.readers.QueryRowContext(t.Context(), "SELECT count(*) FROM epochs WHERE id IN (?, ?)", string(first.Epoch), string(now.Epoch)).Scan(&needed)
	if err != nil || needed != 2 {
		t.Errorf("%d of the 2 that are needed are kept, %v", needed, err)
	}
}

// Records that a damaged vm.json has made say of two epochs that each comes from the other.
func TestEpochs_ARingEnds(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	one, other := banger.NewEpoch(), banger.NewEpoch()
	for _, e := range [][2]banger.Epoch{{one, other}, {other, one}} {
		if _, err := s.database.writer.ExecContext(t.Context(), "INSERT INTO epochs VALUES (?, ?, ?, 0)", string(e[0]), string(e[1]), string(vm.Epoch)); err != nil {
			t.Fatal(err)
		}
	}
	_, line, err := s.Sessions.Lineage(t.Context(), banger.SessionKey{VM: vm.ID, Session: banger.NewSessionID()}, one)
	if err != nil || len(line) != maxEpochs+1 {
		t.Errorf("the way to an epoch of a ring has %d steps: %v", len(line), err)
	}
}
