package hostid_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger"
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
