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
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false, nil // it is gone
	}
	defer unix.Close(fd)
	if !hasVariable(pid, variable) {
		return false, nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return false, ignoreGone(pid, err)
	}
	return true, pollFor(fd, unix.POLLIN, killTimeout)
}

func ignoreGone(pid int, err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("cannot kill process %d: %w", pid, err)
}

// hasVariable reports whether a process was started with an environment variable.
func hasVariable(pid int, variable string) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer f.Close()
	environ, err := io.ReadAll(io.LimitReader(f, maxEnvironment))
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if string(entry) == variable {
			return true
		}
	}
	return false
}

// pollFor waits for events of one file, at most for a time.
func pollFor(fd int, events int16, limit time.Duration) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(limit.Milliseconds())+1)
	if err != nil && err != unix.EINTR {
		return os.NewSyscallError("poll", err)
	}
	return nil
}
