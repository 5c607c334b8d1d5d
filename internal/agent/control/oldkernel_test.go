//go:build !unit

package control_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"banger/test/oldkernel"
)

// promises are the tests in which the guest's programs do all that depends on the
// kernel's age: find commands with a user's rights, start shims, signal and kill trees.
// Only our own init gives sessions cgroups, in VMs whose kernel is ours.
var promises = []string{
	"-test.run", "^(TestLaunch_FailsBeforeAnythingRuns|TestSession_ExitStatusAndOutputAreExact|TestStop_AsksFirstAndKillsAfterTheGrace|TestSession_LostShimEndsOnlyItsSession)$",
	"-test.skip", "/cgroup=/sys",
}

// The list of system calls is found by tracing, so that it grows with what the programs
// use. A kernel lacks all that are newer than it; a filter may refuse any one of them, with
// ENOSYS or, if it was made before, with EPERM.
func TestAgent_NeedsNothingThatLinux414DoesNotHave(t *testing.T) {
	if os.Getenv(oldkernel.Variable) != "" {
		t.Fatal("this test is not one of the promises")
	}
	newest, err := oldkernel.Newest414()
	if err != nil {
		t.Fatal(err)
	}
	program := withoutCgo(t)
	calls := tracedCalls(t, program, newest)
	t.Logf("system calls newer than Linux 4.14: %v", calls)
	if len(calls) == 0 {
		t.Fatal("the trace has none, although a Go program asks for pidfds at its start")
	}
	specs := map[string]string{"all missing": oldkernel.Missing(newest)}
	for name, nr := range calls {
		for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM} {
			specs[name+" is "+unix.ErrnoName(errno)] = oldkernel.Refused(nr, errno)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(program, promises...)
			cmd.Env = append(os.Environ(), oldkernel.Variable+"="+specs[name])
			if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// withoutCgo builds the tests as the guest's programs are built: without the system's
// libraries, which make system calls of their own.
func withoutCgo(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "control.test")
	cmd := exec.Command("go", "test", "-c", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the tests: %v\n%s", err, out)
	}
	return program
}

// tracedCalls returns the system calls that tests made whose numbers are above newest.
func tracedCalls(t *testing.T, program string, newest int) map[string]int {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-n", "-qq", "--signal=none", "-o", trace, program)
	cmd.Args = append(cmd.Args, promises...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot trace (see scripts/install-deps test): %v\n%s", err, out)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\d+ +\[ *(\d+)\] (\w+)\(`).FindAllSubmatch(data, -1) {
		if nr, err := strconv.Atoi(string(m[1])); err == nil && nr > newest {
			calls[string(m[2])] = nr
		}
	}
	return calls
}
