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
	"banger/internal/process"
)

// Bounds of a kill: how long what was killed may take to be gone, and how often
// new processes are looked for, since a process may fork while it is killed.
const (
	killTimeout    = 2 * time.Second
	killPasses     = 10
	maxEnvironment = 2 * banger.MaxLaunchBytes
)

// leftovers are the processes of sessions whose shims are dead. Without a cgroup, one is
// known by the session's id in its environment.
type leftovers struct {
	cgroupRoot string // as Config.CgroupRoot
}

// kill kills all of a session.
func (l leftovers) kill(id banger.SessionID) error {
	if l.cgroupRoot != "" {
		err := killCgroup(filepath.Join(l.cgroupRoot, string(id)))
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
	opened, ok := pidfd.Open(pid)
	if !ok {
		return false, nil // it is gone
	}
	defer opened.Close()
	if !hasVariable(pid, variable) {
		return false, nil
	}
	if err := opened.Signal(unix.SIGKILL); err != nil {
		return false, fmt.Errorf("cannot kill process %d: %w", pid, err)
	}
	return true, opened.AwaitEnd(killTimeout)
}

// hasVariable reports whether a process was started with an environment variable. One
// that executes a program at this moment has no environment that could be read, so that
// is waited for.
func hasVariable(pid int, variable string) bool {
	environ := readEnviron(pid)
	var before code
	for end := time.Now().Add(killTimeout); len(environ) == 0 && time.Now().Before(end); environ = readEnviron(pid) {
		now, ok := codeOf(pid)
		switch {
		case !ok || now == before: // it has executed nothing between two looks
			return false
		case now.none():
			time.Sleep(100 * time.Microsecond) // nobody is notified when it has one
		default:
			before = now
		}
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

// codeOf returns where a process has its code. It is false for one that has ended or is
// about to, and for the kernel's threads, which have none.
func codeOf(pid int) (at code, ok bool) {
	stat, err := process.ReadStat(pid)
	if err != nil || stat.Ended() {
		return code{}, false
	}
	const exiting, kernelThread = 0x4, 0x00200000 // PF_EXITING, PF_KTHREAD of include/linux/sched.h
	flags, err := strconv.ParseUint(stat.Field(9), 10, 32)
	return code{stat.Field(26), stat.Field(28)}, err == nil && flags&(exiting|kernelThread) == 0
}
