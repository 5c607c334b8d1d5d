package session_test

import (
	"os"
	"testing"

	"banger/internal/hosttest"
)

// bin holds the guest's programs; TestMain sets it once.
var bin hosttest.Binaries

func TestMain(m *testing.M) {
	os.Exit(hosttest.Main(m, func(b hosttest.Binaries) { bin = b }))
}
