package control_test

import (
	"os"
	"path/filepath"
	"testing"

	"banger"
	"banger/internal/sessiondir"
)

// The locks of the other host are not seen here, as on NFS with locks of each host's own.
func TestShared_SessionsOfAnotherHostAreLeftAlone(t *testing.T) {
	dir := sessions(t)
	launch := launchOf(banger.StdinClosed, "sleep", "60")
	path, lock, err := sessiondir.Create(dir, launch)
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	state, err := sessiondir.ReadState(os.DirFS(path))
	if err != nil {
		t.Fatal(err)
	}
	state.Status, state.Sequence, state.BootID, state.MachineID = banger.StatusRunning, 5, "another", "another"
	if err := sessiondir.WriteState(path, state); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(path, sessiondir.StateName))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(dir)
	cfg.MachineID = "this"
	l := serveWith(t, cfg)
	if known := l.list(); len(known) != 0 {
		t.Errorf("the sessions are %+v", known)
	}
	if err := l.call(t.Context(), "session.remove", map[string]any{"id": launch.ID}, nil); err != nil {
		t.Error(err)
	}
	after, err := os.ReadFile(filepath.Join(path, sessiondir.StateName))
	if err != nil || string(after) != string(before) {
		t.Errorf("its state was changed to %s (%v)", after, err)
	}
}
