// Package e2e tests banger as its users meet it: the real binaries, real
// machines, one command line after the other.
package e2e

import (
	"os"
	"sync"
	"testing"

	"banger/test/installation"
)

// bin holds the binaries under test; TestMain sets it once.
var bin installation.Binaries

// shared is an installation with one running VM, for the tests that leave both
// as they find them.
var shared struct {
	once sync.Once
	*installation.Installation
}

func TestMain(m *testing.M) {
	os.Exit(installation.Main(m, true, func(b installation.Binaries) { bin = b }, func() error {
		if shared.Installation == nil {
			return nil
		}
		return shared.Close()
	}))
}

// vmName is the VM of sharedVM.
const vmName = "shared"

// sharedVM returns the installation with the running VM vmName.
func sharedVM(t *testing.T) *installation.Installation {
	t.Helper()
	shared.once.Do(func() {
		i, err := installation.Open(bin)
		if err != nil {
			t.Fatal(err)
		}
		shared.Installation = i
		i.StartVM(t, vmName)
	})
	if shared.Installation == nil {
		t.Fatal("the shared installation could not be made")
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("daemon log:\n%s", shared.DaemonLog())
		}
	})
	return shared.Installation
}
