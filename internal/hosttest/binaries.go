package hosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"banger/internal/agent/signals"
	"banger/test/programs"
)

// Binaries are the guest's programs.
type Binaries struct{ Agent, Shim string }

// lostOpening is in the stack of a goroutine that x/crypto never ends: it opens a channel at
// the very moment at which its connection ends. The guest link does not wait for it.
const lostOpening = "golang.org/x/crypto/ssh.(*mux).openChannel"

// Main puts the guest's programs into a directory, hands them to set, runs the tests of a
// package, and removes them. It returns the exit status, which is a failure too if
// goroutines are left, or processes of these programs. Those are ended however the tests
// end, be it by a signal or their time limit.
func Main(m *testing.M, set func(Binaries)) int {
	// The guests' SSH servers are this process, and their commands its children.
	if err := signals.Reset(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "banger-guest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	swept, err := sweepAtEnd(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer swept()
	if err := programs.Put(dir, programs.Agent, programs.Shim); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	set(Binaries{Agent: filepath.Join(dir, programs.Agent.Name()), Shim: filepath.Join(dir, programs.Shim.Name())})
	status := m.Run()
	if err := goleak.Find(goleak.IgnoreAnyFunction(lostOpening)); status == 0 && err != nil {
		fmt.Fprintf(os.Stderr, "goroutines are left after all tests: %v\n", err)
		return 1
	}
	if left := leftOf(dir); status == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "processes are left after all tests: %s\n", strings.Join(left, "; "))
		return 1
	}
	return status
}

// sweep waits for the end of its standard input, which is that of who started it, and ends
// what runs a program of a directory; then it removes that.
const sweep = `cat >/dev/null
for process in /proc/[0-9]*; do
	case $(readlink "$process/exe") in "$0"/*) kill -9 "${process#/proc/}" ;; esac
done
rm -rf "$0"`

// sweepAtEnd has dir swept when this process has ended in any way, and by swept.
func sweepAtEnd(dir string) (swept func(), err error) {
	cmd := exec.Command("sh", "-c", sweep, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a ctrl-c is not for it
	ours, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start what ends the guest's processes: %w", err)
	}
	return func() {
		_ = ours.Close()
		_ = cmd.Wait()
	}, nil
}

// leftOf returns what runs programs of dir, and what files it has open, when all that is
// about to end has ended.
func leftOf(dir string) (left []string) {
	for deadline := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		pids := processesIn(dir)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().Before(deadline) {
			continue
		}
		for _, pid := range pids {
			line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
			left = append(left, fmt.Sprintf("%d %q with %q", pid, line, openFiles(pid)))
		}
		return left
	}
}
