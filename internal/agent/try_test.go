//go:build !unit

package agent_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outputRefused runs a command whose system calls of one kind fail; seccomp(2).
func outputRefused(cmd *exec.Cmd, call uint32, errno unix.Errno) (out []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The filter is this thread's, which ends with the goroutine, and its children's.
		runtime.LockOSThread()
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // struct seccomp_data begins with the number
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err == nil {
			out, err = cmd.Output()
		}
	}()
	<-done
	return out, err
}

// testTry: a place that cannot hold sessions is told with what failed there, and one that
// holds some comes first.
func testTry(t *testing.T, agent string) {
	places := t.TempDir()
	first, second := filepath.Join(places, "first place"), filepath.Join(places, "second")
	if err := errors.Join(os.Mkdir(first, 0o700), os.MkdirAll(filepath.Join(second, "sessions"), 0o700)); err != nil {
		t.Fatal(err)
	}
	none := uint32(1 << 20) // no system call
	for name, c := range map[string]struct {
		call  uint32
		errno unix.Errno
		first string // what is said of it
	}{
		"all there": {none, 0, "M state " + first},
		"sockets":   {unix.SYS_BIND, unix.EPERM, "M lacking " + first + ": a unix socket cannot be made: bind: operation not permitted"},
		"locks":     {unix.SYS_FLOCK, unix.ENOLCK, "M lacking " + first + ": flock: no locks available"},
		"renames":   {unix.SYS_RENAMEAT, unix.EXDEV, "M lacking " + first + ": rename: invalid cross-device link"},
	} {
		out, err := outputRefused(command(t, agent, "try", "--mark", "M", first, second, places+"/none"), c.call, c.errno)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(out), "\n")
		if lines[0] != c.first && !strings.Contains(lines[0], c.first) {
			t.Errorf("%s: %q, want %q", name, lines, c.first)
		}
		if !strings.Contains(string(out), "M lacking "+places+"/none: stat: no such file or directory\n") {
			t.Errorf("%s: %q", name, out)
		}
	}
	if err := os.Mkdir(filepath.Join(second, "sessions", strings.Repeat("a", 20)), 0o700); err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(first, ".try-1")
	if err := errors.Join(os.Mkdir(killed, 0o700), os.Chtimes(killed, time.Time{}, time.Now().Add(-48*time.Hour))); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, agent, "try", "--mark", "M", first, second).Output()
	if err != nil || string(out) != "M state "+second+"\nM state "+first+"\n" {
		t.Errorf("with sessions in the second: %q, %v", out, err)
	}
	if left, _ := filepath.Glob(filepath.Join(places, "*", ".try*")); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
}
