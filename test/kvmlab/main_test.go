// Package kvmlab tests banger on a host that has KVM and a real systemd, from one that
// may have neither: QEMU emulates AMD's virtualisation, so a machine with -cpu max whose
// guest loads kvm-amd is a host with KVM. Everything in it is the real thing, only
// slower. All tests share one such host.
package kvmlab

import (
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
	lab  lab
	open bool
}

func TestMain(m *testing.M) {
	os.Exit(installation.Main(m, false, func(b installation.Binaries) { bin = b }, func() error {
		return shared.lab.close()
	}))
}

// sharedLab returns the lab, with banger and its image installed and a VM "v" that is
// stopped.
func sharedLab(t *testing.T) *lab {
	t.Helper()
	shared.once.Do(func() {
		shared.lab.open(t)
		shared.open = true
	})
	if !shared.open {
		t.Fatal("the lab could not be made")
	}
	return &shared.lab
}
