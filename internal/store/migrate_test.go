package store

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/internal/records"
)

// secret is the value of a variable in the store of schema 1, and of others in tests.
const secret = "hunter2-the-value"

// schema1 returns the path of a store as the last version with schema 1 has left it: four
// sessions with their environments, one of them removed.
func schema1(t *testing.T) string {
	t.Helper()
	packed, err := os.Open("testdata/schema1.db.gz")
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
	list, err := s.ListSessions(t.Context(), "")
	if err != nil || len(list) != 3 {
		t.Fatalf("%d sessions, %v", len(list), err)
	}
	for i, short := range list {
		x, err := s.GetSession(t.Context(), short.ID)
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
		if again, err := s.FindSession(t.Context(), x.VMID, "key"+x.Name[1:]); err != nil || again.ID != x.ID {
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
	newest, err := s.Revision(t.Context())
	if err != nil || newest != 15 {
		t.Fatalf("revision %d, %v", newest, err)
	}
	enough := errors.New("enough")
	err = s.WatchEvents(t.Context(), 0, func(e banger.Event) error {
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
	x, _, err := s.CreateSession(t.Context(), banger.Session{ID: "x", VMID: vm.ID, Name: "x", Launch: banger.Launch{
		Command: "sh", Env: map[string]banger.ByteString{"TOKEN": secret},
	}, SessionState: banger.SessionState{Status: banger.StatusStarting}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateSession(t.Context(), x.ID, func(x *banger.Session) error { x.Status = banger.StatusExited; return nil }); err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetSession(t.Context(), x.ID); err != nil || got.Env["TOKEN"] != secret {
		t.Errorf("while it is there: %+v, %v", got.Env, err)
	}
	if err := s.DeleteSession(t.Context(), x.ID); err != nil {
		t.Fatal(err)
	}
	if n := countSecret(t, path); n != 0 {
		t.Errorf("the value is in the files %d times", n)
	}
}
