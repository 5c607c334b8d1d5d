// Package kvmlab tests banger with a KVM that works, on a host that has none:
// QEMU emulates AMD's virtualisation, so a machine with -cpu max whose guest
// loads kvm-amd is a host with KVM. Everything in it is the real thing, only
// slower. One such host has a real systemd too.
package kvmlab

import (
	"errors"
	"os"
	"sync"
	"testing"

	"banger/test/installation"
)

// bin holds the binaries under test; TestMain sets it once. They run on this
// host and in the lab, so they are those that are released.
var bin installation.Binaries

// shared is the lab, made by the first test that needs it.
var shared struct {
	once sync.Once
	*installation.Installation
	*lab
}

func TestMain(m *testing.M) {
	os.Exit(installation.Main(m, false, func(b installation.Binaries) { bin = b }, func() error {
		err := sharedSystemd.lab.close()
		if shared.Installation == nil {
			return err
		}
		return errors.Join(err, shared.Close())
	}))
}

// sharedSystemd is the lab with systemd, made by the first test that needs it.
var sharedSystemd struct {
	once sync.Once
	lab  systemdLab
	open bool
}

// sharedLab returns the lab, with the installation in it ready for use.
func sharedLab(t *testing.T) *lab {
	t.Helper()
	shared.once.Do(func() {
		i, err := installation.Open(bin)
		if err != nil {
			t.Fatal(err)
		}
		shared.Installation = i
		shared.lab = newLab(t, i)
	})
	if shared.lab == nil {
		t.Fatal("the lab could not be made")
	}
	return shared.lab
}

// sharedSystemdLab returns the lab with systemd, with banger installed and a VM "v" that
// is stopped.
func sharedSystemdLab(t *testing.T) *systemdLab {
	t.Helper()
	sharedSystemd.once.Do(func() {
		sharedSystemd.lab.open(t)
		sharedSystemd.open = true
	})
	if !sharedSystemd.open {
		t.Fatal("the lab with systemd could not be made")
	}
	return &sharedSystemd.lab
}
