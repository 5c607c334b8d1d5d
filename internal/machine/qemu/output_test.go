package qemu

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestTrim_KeepsTheBeginningAndTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	const head, tail, size = 1 << 20, 2 << 20, 6 << 20
	data := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := trim(path, head, tail); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != size || !bytes.Equal(got[:head], data[:head]) || !bytes.Equal(got[size-tail:], data[size-tail:]) {
		t.Error("what is to be kept has changed")
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	if room := stat.Blocks * 512; room > head+tail+trimSlack {
		t.Errorf("the file takes %d bytes", room)
	}
}

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

// A machine that is started again in the same folder may have new files.
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
