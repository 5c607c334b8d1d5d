// Package e2e tests banger as its users meet it: the real binaries, real
// machines, one command line after the other.
package e2e

import (
	"os"
	"testing"

	"banger/test/installation"
)

// bin holds the binaries under test; TestMain sets it once.
var bin installation.Binaries

// shared is an installation with one VM.
var shared installation.Shared

func TestMain(m *testing.M) {
	os.Exit(installation.Main(m, true, func(b installation.Binaries) { bin = b }, shared.Close))
}

// vmName is the VM of sharedVM.
const vmName = "shared"

// sharedVM returns the installation with the VM vmName, which runs.
func sharedVM(t *testing.T) *installation.Installation {
	t.Helper()
	return shared.Running(t, bin, vmName)
}
