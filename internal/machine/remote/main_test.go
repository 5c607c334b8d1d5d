package remote_test

import (
	"os"
	"testing"

	"banger/internal/hosttest"
)

var bin hosttest.Binaries

func TestMain(m *testing.M) {
	os.Exit(hosttest.Main(m, func(b hosttest.Binaries) { bin = b }))
}
