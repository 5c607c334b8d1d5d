// Package oldkernel lets a test's program run under a filter of system calls, as on a kernel
// that lacks them, or in a container whose filter does not know them; seccomp(2).
package oldkernel

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Variable has what is refused in the environment of a program whose main calls Exec.
const Variable = "BANGER_TEST_REFUSED_SYSTEM_CALLS"

// Newest414 returns the highest number of a system call in Linux 4.14, on this
// architecture: that of statx(2).
func Newest414() (int, error) {
	switch runtime.GOARCH {
	case "amd64":
		return 332, nil
	case "arm64":
		return 291, nil
	}
	return 0, fmt.Errorf("which system calls Linux 4.14 has on %s is not known here", runtime.GOARCH)
}

// Missing is the value of Variable for a kernel whose highest system call is newest.
func Missing(newest int) string { return fmt.Sprintf("%d- %d", newest+1, unix.ENOSYS) }

// Refused is the value of Variable for a filter that refuses one system call.
func Refused(number int, errno syscall.Errno) string { return fmt.Sprintf("%d %d", number, errno) }

// Exec executes a program with this process's environment, but for Variable, under the
// filter of spec. It returns only if that fails.
func Exec(spec, program string, argv []string) error {
	numbers, errno, _ := strings.Cut(spec, " ")
	first, andAbove := strings.CutSuffix(numbers, "-")
	nr, err1 := strconv.ParseUint(first, 10, 32)
	no, err2 := strconv.ParseUint(errno, 10, 16)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("%s=%q makes no sense", Variable, spec)
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
	loaded := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // the filter is this thread's, and continues with the program that it executes
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&loaded)), 0, 0); err != nil {
		return fmt.Errorf("cannot set filter: %w", err)
	}
	os.Unsetenv(Variable)
	return unix.Exec(program, argv, os.Environ())
}
