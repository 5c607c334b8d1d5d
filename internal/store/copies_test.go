package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"banger"
)

// damage writes over the middle of a store's file.
func damage(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 3; i < len(data); i++ {
		data[i] = 0xa5
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// follow runs the commands of an error's hint.
func follow(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*banger.Error](err)
	if !ok {
		t.Fatalf("%v has no hint", err)
	}
	_, commands, found := strings.Cut(e.Hint, "run: ")
	if !found {
		t.Fatalf("the hint has no commands: %s", e.Hint)
	}
	// No daemon is there to be stopped.
	bin := t.TempDir()
	if err := os.Symlink("/bin/true", filepath.Join(bin, "banger")); err != nil {
		t.Fatal(err)
	}
	sh := exec.Command("/bin/sh", "-c", commands)
	sh.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
}

func names(t *testing.T, s *Store) (names []string) {
	t.Helper()
	vms, err := s.VMs.ListVMs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range vms {
		names = append(names, vm.Name)
	}
	return names
}

func restored(t *testing.T, s *Store) bool {
	t.Helper()
	is, err := s.Continuity.Restored(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestCopies_HintOfADamagedStoreSaysHowToUseTheNewest(t *testing.T) {
	path := testPath(t)
	s := openTest(t, path)
	if restored(t, s) {
		t.Error("a new store is taken for a copy")
	}
	if err := s.Continuity.Continue(t.Context()); err != nil {
		t.Fatal(err)
	}
	createVM(t, s, "one")
	made, err := s.Copies.makeIfDue(t.Context(), time.Now())
	if err != nil || made == "" {
		t.Fatalf("made %q, %v", made, err)
	}
	createVM(t, s, "two")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, path)
	_, err = Open(t.Context(), path)
	if banger.CodeOf(err) != banger.CodeCorrupt {
		t.Fatalf("open of a damaged store: %v", err)
	}
	follow(t, err)
	s = openTest(t, path)
	if got := names(t, s); fmt.Sprint(got) != "[one]" {
		t.Errorf("the copy has %q", got)
	}
	if !restored(t, s) {
		t.Error("a copy is not known as one")
	}
	if err := s.Continuity.Continue(t.Context()); err != nil || restored(t, s) {
		t.Errorf("once it is used it is still a copy: %v", err)
	}
	// Nothing was thrown away.
	if kept, err := filepath.Glob(filepath.Join(filepath.Dir(path), "store-*", filepath.Base(path))); err != nil || len(kept) != 1 {
		t.Errorf("the damaged store is in %q, %v", kept, err)
	}
}

func TestCopies_HintWithoutACopyBeginsWithAnEmptyStore(t *testing.T) {
	path := testPath(t)
	s := openTest(t, path)
	createVM(t, s, "one")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, path)
	_, err := Open(t.Context(), path)
	follow(t, err)
	if s = openTest(t, path); len(names(t, s)) != 0 {
		t.Errorf("an empty store has %q", names(t, s))
	}
}

func TestCopies_OneADayAndOnlySoMany(t *testing.T) {
	path := testPath(t)
	s := openTest(t, path)
	createVM(t, s, "one")
	day := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for n := range 3 * keptCopies {
		at := day.Add(time.Duration(n) * 12 * time.Hour)
		made, err := s.Copies.makeIfDue(t.Context(), at)
		if due := n%2 == 0; err != nil || due != (made != "") {
			t.Fatalf("at %s: made %q, %v", at, made, err)
		}
	}
	// Copies of days to come were made by a clock that was wrong: there is none of today.
	if made, err := s.Copies.makeIfDue(t.Context(), day.Add(-time.Hour)); err != nil || made == "" {
		t.Errorf("made %q, %v", made, err)
	}
	all, err := copies(path)
	if err != nil || len(all) != keptCopies {
		t.Fatalf("%d copies, %v", len(all), err)
	}
	entries, err := os.ReadDir(filepath.Join(filepath.Dir(path), copiesDir))
	if err != nil || len(entries) != keptCopies {
		t.Errorf("beside the copies there is %v, %v", entries, err)
	}
	for _, c := range all {
		if info, err := os.Stat(c.path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

func TestCopies_OneIsMadeBeforeTheTablesAreChanged(t *testing.T) {
	path := testPath(t)
	s := openTest(t, path)
	createVM(t, s, "one")
	newer := fstest.MapFS{"99999_more.sql": {Data: []byte("-- +goose Up\nCREATE TABLE more (x INTEGER) STRICT;\n")}}
	old, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range old {
		data, err := migrations.ReadFile("migrations/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		newer[e.Name()] = &fstest.MapFile{Data: data}
	}
	if err := migrateBy(t.Context(), s.database, s.Copies, newer); err != nil || s.Copies.uncopied != nil {
		t.Fatal(err, s.Copies.uncopied)
	}
	createVM(t, s, "two")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), path)
	if banger.CodeOf(err) != banger.CodeMismatch {
		t.Fatalf("open of a newer store: %v", err)
	}
	follow(t, err)
	s = openTest(t, path)
	if got := names(t, s); fmt.Sprint(got) != "[one]" || !restored(t, s) {
		t.Errorf("the copy has %q", got)
	}
}
