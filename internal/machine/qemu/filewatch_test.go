package qemu

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestFileWatch_TellsOfEveryFileAndHoldsNothingAfter(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	var watch fileWatch
	var watchers sync.WaitGroup
	for _, name := range []string{"a", "a", "b", "c", "c"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		watchers.Go(func() {
			for range 20 {
				changed, cancel, err := watch.add(path)
				if err != nil {
					t.Error(err)
					return
				}
				appendTo(t, path)
				<-changed
				cancel()
				cancel() // twice is harmless
			}
		})
	}
	watchers.Wait()
	if _, _, err := watch.add(filepath.Join(dir, "a"), filepath.Join(dir, "missing")); err == nil {
		t.Error("a file that does not exist is watched")
	}
	if watch.inotify != nil {
		t.Error("inotify is still open")
	}
}

// A machine that is started again in the same directory may have new files.
func TestFileWatch_TellsOfAFileThatWasMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ready")
	appendTo(t, path)
	var watch fileWatch
	_, cancelOld, err := watch.add(path)
	if err != nil {
		t.Fatal(err)
	}
	defer cancelOld()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path)
	changed, cancel, err := watch.add(path)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	appendTo(t, path)
	<-changed
}

func appendTo(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Error(err)
	}
	f.Close()
}
