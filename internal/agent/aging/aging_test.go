package aging

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExclude_IsSeenByWhoAsksAsSystemdTmpfilesDoes has the lock that systemd takes before
// it looks into a directory refused.
func TestExclude_IsSeenByWhoAsksAsSystemdTmpfilesDoes(t *testing.T) {
	dir := t.TempDir()
	cleaner, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer cleaner.Close()
	held, err := Exclude(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Exclude(dir)
	if err != nil {
		t.Fatalf("a second process cannot: %v", err)
	}
	held.Close()
	if err := unix.Flock(int(cleaner.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("while one is held: %v", err)
	}
	again.Close()
	if err := unix.Flock(int(cleaner.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("when none is: %v", err)
	}
	if _, err := Exclude(dir + "/none"); err == nil {
		t.Error("no directory is excluded")
	}
}
