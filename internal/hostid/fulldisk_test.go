//go:build !unit

package hostid_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"banger"
	"banger/internal/filelock"
	"banger/internal/hostid"
)

func TestClaim_AFullDiskLetsNoOtherHostInAndOursGoOn(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	path := filepath.Join(dir, "host")
	if err := hostid.Claim(path, host("m1", "b1", "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	if err := filelock.Prove(dir); err != nil {
		t.Errorf("locks: %v", err)
	}
	lock, err := filelock.Take(filepath.Join(dir, "lock"), "me")
	if err != nil {
		t.Errorf("a lock: %v", err)
	} else {
		lock.Close()
	}
	if err := hostid.Claim(path, host("m1", "b2", "a")); err != nil {
		t.Errorf("after a reboot: %v", err)
	}
	if err := hostid.Claim(path, host("m2", "b3", "b")); banger.CodeOf(err) != banger.CodeInUse {
		t.Errorf("another host: %v", err)
	}
}
