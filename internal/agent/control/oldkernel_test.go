package control_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refusedVariable makes this binary run its tests under a filter of system calls:
// "439 1" has number 439 fail with errno 1, "333- 38" every number from 333 on with 38.
const refusedVariable = "BANGER_TEST_REFUSED_SYSTEM_CALLS"

// newest414 is the highest number of a system call in Linux 4.14 by architecture:
// that of statx(2) in both.
var newest414 = map[string]int{"amd64": 332, "arm64": 291}

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
	if os.Getenv(refusedVariable) != "" {
		t.Fatal("this test is not one of the promises")
	}
	newest, ok := newest414[runtime.GOARCH]
	if !ok {
		t.Fatalf("which system calls Linux 4.14 has on %s is not known here", runtime.GOARCH)
	}
	program := withoutCgo(t)
	calls := tracedCalls(t, program, newest)
	t.Logf("system calls newer than Linux 4.14: %v", calls)
	if len(calls) == 0 {
		t.Fatal("the trace has none, although a Go program asks for pidfds at its start")
	}
	specs := map[string]string{"all missing": fmt.Sprintf("%d- %d", newest+1, unix.ENOSYS)}
	for name, nr := range calls {
		for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM} {
			specs[name+" is "+unix.ErrnoName(errno)] = fmt.Sprintf("%d %d", nr, errno)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(program, promises...)
			cmd.Env = append(os.Environ(), refusedVariable+"="+specs[name])
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

// runRefused runs this program again under the filter of a spec; seccomp(2).
func runRefused(spec string) error {
	numbers, errno, _ := strings.Cut(spec, " ")
	first, andAbove := strings.CutSuffix(numbers, "-")
	nr, err1 := strconv.ParseUint(first, 10, 32)
	no, err2 := strconv.ParseUint(errno, 10, 16)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("%s=%q makes no sense", refusedVariable, spec)
	}
	compare := uint16(unix.BPF_JEQ)
	if andAbove {
		compare = unix.BPF_JGE
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // struct seccomp_data begins with the number
		{Code: unix.BPF_JMP | compare | unix.BPF_K, K: uint32(nr), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(no)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // the filter is this thread's, and goes on with the program that it executes
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("cannot set filter: %w", err)
	}
	os.Unsetenv(refusedVariable)
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}
