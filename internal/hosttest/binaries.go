package hosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// Binaries are the guest's programs.
type Binaries struct{ Agent, Shim string }

// Main builds the guest's programs, hands them to set, runs the tests of a
// package, and removes them. It returns the exit status, which is a failure too if
// goroutines are left.
func Main(m *testing.M, set func(Binaries)) int {
	dir, err := os.MkdirTemp("", "banger-guest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "banger/cmd/banger-agent", "banger/cmd/banger-shim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the guest's programs: %v\n%s", err, out)
		return 1
	}
	set(Binaries{Agent: filepath.Join(dir, "banger-agent"), Shim: filepath.Join(dir, "banger-shim")})
	status := m.Run()
	if err := goleak.Find(); status == 0 && err != nil {
		fmt.Fprintf(os.Stderr, "goroutines are left after all tests: %v\n", err)
		return 1
	}
	return status
}
