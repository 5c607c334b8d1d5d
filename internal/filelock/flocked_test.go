package filelock_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"banger/internal/filelock"
)

func TestFlocked_SeesALockAndTakesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	is := func(want bool) {
		t.Helper()
		if got, err := filelock.Flocked(path); got != want || err != nil {
			t.Errorf("locked: %v, %v", got, err)
		}
	}
	is(false) // which is not there
	for _, how := range []int{unix.LOCK_SH, unix.LOCK_EX} {
		lock, err := filelock.Flock(path, how)
		if err != nil {
			t.Fatal(err)
		}
		is(true)
		lock.Close()
		is(false)
	}
}
