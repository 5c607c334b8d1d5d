package filelock_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"banger/internal/filelock"
)

func TestTake_OneHasTheLockAndOthersSeeWho(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if held, _, err := filelock.Held(path); held || err != nil {
		t.Errorf("a lock that was never taken: %v, %v", held, err)
	}
	l, err := filelock.Take(path, "me\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filelock.Take(path, "you\n"); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("a second one: %v", err)
	}
	for range 2 { // to look takes nothing and lets nothing go
		if held, note, err := filelock.Held(path); !held || note != "me\n" || err != nil {
			t.Errorf("held %v by %q, %v", held, note, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if held, _, err := filelock.Held(path); held || err != nil {
		t.Errorf("after its end: %v, %v", held, err)
	}
}

// A process that is being started has all open files until it executes its program: here one
// that keeps the file for longer.
func TestUnlock_GivesTheLockBackThoughAnotherProcessHasTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := filelock.Lock(f); err != nil {
		t.Fatal(err)
	}
	other := exec.Command("cat")
	other.ExtraFiles = []*os.File{f}
	end, err := other.StdinPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := filelock.Unlock(f); err != nil {
		t.Error(err)
	}
	if held, _, err := filelock.Held(path); held || err != nil {
		t.Errorf("held %v, %v", held, err)
	}
	if err := errors.Join(end.Close(), other.Wait()); err != nil {
		t.Error(err)
	}
}

func TestRenew_TheLockCountsForItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := filelock.Take(path, "me\n")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := l.Renew(); err != nil {
		t.Fatal(err)
	}
	if held, note, err := filelock.Held(path); !held || note != "me\n" || err != nil {
		t.Errorf("held %v by %q, %v", held, note, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := filelock.Take(path, "you\n")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := l.Renew(); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("while another has it: %v", err)
	}
}

func TestTake_FollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if l, err := filelock.Take(filepath.Join(dir, "lock"), ""); err == nil {
		l.Close()
		t.Error("the lock was taken elsewhere")
	}
}

func TestProve_TellsAFileSystemWithoutMappedFiles(t *testing.T) {
	if err := filelock.Prove(t.TempDir()); err != nil {
		t.Errorf("a usual file system: %v", err)
	}
	if err := filelock.Prove("/proc/self"); err == nil {
		t.Error("proc(5) keeps state")
	}
}
