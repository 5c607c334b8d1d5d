package control_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"banger"
	"banger/test/wait"
)

// waiting returns the shims that a process has started and that run nothing.
func waiting(pid int) (shims []int) {
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		shim, _ := strconv.Atoi(filepath.Base(folder))
		fields := stat(shim)
		if err != nil || string(line) != "banger-shim\x00" || len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		children, err := os.ReadFile(filepath.Join(folder, "task", filepath.Base(folder), "children"))
		if err == nil && strings.TrimSpace(string(children)) == "" {
			shims = append(shims, shim)
		}
	}
	return shims
}

// awaitWaiting returns the one shim that waits for a launch.
func awaitWaiting(t *testing.T, pid int) (shim int) {
	t.Helper()
	wait.For(t, "a shim that waits", func() bool {
		shims := waiting(pid)
		if len(shims) == 1 {
			shim = shims[0]
		}
		return len(shims) == 1
	})
	return shim
}

func TestLaunch_TakesTheShimThatWaitsAndHasAnotherStarted(t *testing.T) {
	l, cmd := serveProcess(t, sessions(t))
	first := awaitWaiting(t, cmd.Process.Pid)
	x := l.start(banger.StdinPipe, "cat")
	if parent(t, x.GuestPID) != first {
		t.Errorf("the session's shim is %d, and %d waited", parent(t, x.GuestPID), first)
	}
	if awaitWaiting(t, cmd.Process.Pid) == first {
		t.Error("it still waits")
	}
}

func TestLaunch_DoesWithoutTheShimThatWaited(t *testing.T) {
	l, cmd := serveProcess(t, sessions(t))
	shim := awaitWaiting(t, cmd.Process.Pid)
	if err := syscall.Kill(shim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "its end", func() bool { return !alive(shim) })
	if x := l.start(banger.StdinPipe, "cat"); x.Status != banger.StatusRunning {
		t.Errorf("%+v", x)
	}
}

func TestControl_TakesTheShimThatWaitsWithIt(t *testing.T) {
	_, cmd := serveProcess(t, sessions(t))
	shim := awaitWaiting(t, cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "the end of the shim", func() bool { return !alive(shim) })
}

// stat returns the fields of /proc/PID/stat from the third on, none if there is
// no such process.
func stat(pid int) []string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
}

// parent returns the parent of a process.
func parent(t *testing.T, pid int) int {
	t.Helper()
	fields := stat(pid)
	if len(fields) < 2 {
		t.Fatalf("there is no process %d", pid)
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// alive reports whether a process runs. A zombie does not, once it is its only thread:
// the others may still end, and keep its files open.
func alive(pid int) bool {
	fields := stat(pid)
	if len(fields) == 0 {
		return false
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && (fields[0] != "Z" || len(threads) > 1)
}
