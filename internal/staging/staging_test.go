package staging_test

import (
	"os"
	"path/filepath"
	"testing"

	"banger/internal/staging"
)

func newArea(t *testing.T) *staging.Area {
	return &staging.Area{Path: filepath.Join(t.TempDir(), "area"), Prefix: ".new-", Part: "part"}
}

// begin makes a staging directory whose content is one file.
func begin(t *testing.T, a *staging.Area, text string) *staging.Dir {
	t.Helper()
	d, err := a.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Content(), "file"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

func names(t *testing.T, a *staging.Area) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPublish_GivesTheNameAtOnceAndReplacesWhatHasIt(t *testing.T) {
	a := newArea(t)
	for _, text := range []string{"first", "second"} {
		d := begin(t, a, text)
		if err := d.Publish("x"); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(filepath.Join(a.Path, "x", "file")); err != nil || string(data) != text {
			t.Errorf("under the name is %q, %v; want %q", data, err, text)
		}
		if err := d.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, a); len(got) != 1 || got[0] != "x" {
		t.Errorf("left are %q", got)
	}
}

func TestDiscard_LeavesNothing(t *testing.T) {
	a := newArea(t)
	d := begin(t, a, "")
	if err := d.Publish("x"); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is not there
		if err := a.Discard("x", (*staging.Dir).Remove); err != nil {
			t.Error(err)
		}
	}
	if got := names(t, a); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
}

func TestLeftovers_AreThoseThatNobodyHas(t *testing.T) {
	a := newArea(t)
	dead, live := begin(t, a, ""), begin(t, a, "")
	if err := dead.Abandon(); err != nil {
		t.Fatal(err)
	}
	var found []string
	err := a.Leftovers(func(d *staging.Dir) {
		found = append(found, d.Path)
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err != nil || len(found) != 1 || found[0] != dead.Path {
		t.Errorf("found %q, %v; want %s", found, err, dead.Path)
	}
	if got := names(t, a); len(got) != 1 || filepath.Join(a.Path, got[0]) != live.Path {
		t.Errorf("left are %q", got)
	}
}
