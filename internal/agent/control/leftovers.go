package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/cgroups"
	"banger/internal/agent/pidfd"
)

// Bounds of a kill: how long what was killed may take to be gone, and how often
// new processes are looked for, since a process may fork while it is killed.
const (
	killTimeout    = 2 * time.Second
	killPasses     = 10
	maxEnvironment = 2 * banger.MaxLaunchBytes
)

// killLeftovers kills every process of a session whose shim is dead. Without a
// cgroup, a process is known by the session's id in its environment.
func (s *server) killLeftovers(id banger.SessionID) error {
	if s.CgroupRoot != "" {
		err := killCgroup(filepath.Join(s.CgroupRoot, string(id)))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return killByEnvironment("BANGER_SESSION_ID=" + string(id))
}

// killCgroup kills and removes a cgroup (v2) with all below it.
func killCgroup(path string) error {
	if err := cgroups.Kill(path); err != nil {
		return fmt.Errorf("cannot kill cgroup: %w", err)
	}
	if err := cgroups.AwaitEmpty(path, killTimeout); err != nil {
		return fmt.Errorf("cannot kill cgroup: %w", err)
	}
	if err := cgroups.Remove(path); err != nil {
		return fmt.Errorf("cannot remove cgroup %s: %w", path, err)
	}
	return nil
}

// killByEnvironment kills the processes that have an environment variable of
// that value.
func killByEnvironment(variable string) error {
	for range killPasses {
		killed, err := killPass(variable)
		if killed == 0 || err != nil {
			return err
		}
	}
	return errors.New("cannot kill the processes of the session: there are always new ones")
}

func killPass(variable string) (killed int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("cannot list processes: %w", err)
	}
	var errs error
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		did, err := killIf(pid, variable)
		if did {
			killed++
		}
		errs = errors.Join(errs, err)
	}
	return killed, errs
}

// killIf kills a process if it has the variable, and waits for its end. The
// descriptor is opened before the look, so that a reused pid harms nobody.
func killIf(pid int, variable string) (killed bool, err error) {
	process, ok := pidfd.Open(pid)
	if !ok {
		return false, nil // it is gone
	}
	defer process.Close()
	if !hasVariable(pid, variable) {
		return false, nil
	}
	if err := process.Signal(unix.SIGKILL); err != nil {
		return false, fmt.Errorf("cannot kill process %d: %w", pid, err)
	}
	return true, process.AwaitEnd(killTimeout)
}

// hasVariable reports whether a process was started with an environment variable. One
// that executes a program at this moment has no environment that could be read, so that
// is waited for.
func hasVariable(pid int, variable string) bool {
	var environ []byte
	for end := time.Now().Add(killTimeout); time.Now().Before(end); {
		before, ok := codeOf(pid)
		if !ok {
			return false
		}
		if environ = readEnviron(pid); len(environ) > 0 {
			break
		}
		if after, ok := codeOf(pid); !ok || !before.none() && before == after {
			return false
		}
		time.Sleep(100 * time.Microsecond) // nobody is told when it has one
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if string(entry) == variable {
			return true
		}
	}
	return false
}

func readEnviron(pid int) []byte {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return nil
	}
	defer f.Close()
	environ, err := io.ReadAll(io.LimitReader(f, maxEnvironment))
	if err != nil {
		return nil
	}
	return environ
}

// code is where a process has its code and its stack, which differs from one program
// that it executes to the next.
type code struct{ code, stack string }

// none says that the process is between two programs; it may have a stack by then.
func (c code) none() bool { return c.code == "0" }

// codeOf returns where a process has its code; proc(5) on its stat. It is false for one
// that has ended or is about to, and for the kernel's threads, which have none.
func codeOf(pid int) (at code, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return code{}, false
	}
	const state, flags, startCode, startStack = 0, 6, 23, 25 // fields 3, 9, 26 and 28: the second, the name, may hold anything
	const exiting, kernelThread = 0x4, 0x00200000            // PF_EXITING, PF_KTHREAD of include/linux/sched.h
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= startStack || bytes.ContainsAny(fields[state], "ZX") {
		return code{}, false
	}
	bits, err := strconv.ParseUint(string(fields[flags]), 10, 32)
	return code{string(fields[startCode]), string(fields[startStack])}, err == nil && bits&(exiting|kernelThread) == 0
}
