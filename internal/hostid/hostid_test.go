package hostid_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"banger"
	"banger/internal/filelock"
	"banger/internal/hostid"
)

func host(machine, boot, name string) hostid.Host {
	return hostid.Host{MachineID: machine, BootID: boot, Name: name}
}

func TestClaim_IsOfOneHostOverItsBoots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host")
	for _, test := range []struct {
		host hostid.Host
		ok   bool
	}{
		{host("m1", "b1", "a"), true},
		{host("m1", "b1", "a"), true},
		{host("m1", "b2", "renamed"), true},  // it was rebooted
		{host("m2", "b3", "renamed"), false}, // another of the same name
		{host("m2", "b2", "c"), false},       // a container on the same kernel
		{host("", "b3", "c"), false},         // one that has no id
		{host("", "b2", "c"), true},          // nor the other way round: the same boot is the same host
		{host("", "b4", "c"), true},
	} {
		err := hostid.Claim(path, test.host)
		if (err == nil) != test.ok || err != nil && banger.CodeOf(err) != banger.CodeInUse {
			t.Errorf("%+v: %v", test.host, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func TestClaim_ThatCannotBeReadIsNoOnes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host")
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := hostid.Claim(path, host("m1", "b1", "a"))
	if banger.CodeOf(err) != banger.CodeCorrupt || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

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
