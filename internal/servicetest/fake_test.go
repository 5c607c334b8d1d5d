//go:build !unit

package servicetest

import (
	"os"
	"testing"

	"banger"
	"banger/internal/hosttest"
)

// bin holds the guest's programs; TestMain sets it once.
var bin hosttest.Binaries

func TestMain(m *testing.M) {
	os.Exit(hosttest.Main(m, func(b hosttest.Binaries) { bin = b }))
}

func TestSuite_HoldsForTheFake(t *testing.T) {
	f := &Fake{Strict: true, Images: []banger.Image{{ID: "i1", Name: banger.DefaultImageName}}}
	Suite(t, f.Services())
}

func TestSuite_HoldsForARealDaemonAndItsClient(t *testing.T) {
	Suite(t, hosttest.New(t, bin).Client().Services())
}
