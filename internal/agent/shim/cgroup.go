package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroup is the session's own cgroup (v2, Documentation/admin-guide/cgroup-v2.rst).
// The command is started straight into it, so that nothing can leave it unseen.
type cgroup struct {
	path string
	dir  *os.File
}

func createCgroup(root, id string) (*cgroup, error) {
	path := filepath.Join(root, id)
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create cgroup: %w", err)
	}
	dir, err := os.Open(path)
	if err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("cannot open cgroup: %w", err)
	}
	return &cgroup{path: path, dir: dir}, nil
}

// kill kills every process in it, those that are being forked included.
func (c *cgroup) kill() error {
	return os.WriteFile(filepath.Join(c.path, "cgroup.kill"), []byte("1"), 0)
}

// signal sends a signal to every process that is in it now.
func (c *cgroup) signal(signals ...unix.Signal) error {
	return filepath.WalkDir(c.path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return ignoreNotExist(err)
		}
		procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return ignoreNotExist(err)
		}
		var errs error
		for _, field := range bytes.Fields(procs) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				errs = errors.Join(errs, c.signalMember(pid, signals))
			}
		}
		return errs
	})
}

// signalMember signals a process if it still is in the cgroup. The pid may have
// been given to another one since it was read; the descriptor pins what it means
// now, and a second look tells whether that is ours.
func (c *cgroup) signalMember(pid int, signals []unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // it is gone
	}
	defer unix.Close(fd)
	if !c.holds(pid) {
		return nil
	}
	for _, sig := range signals {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("cannot signal process %d: %w", pid, err)
		}
	}
	return nil
}

// holds reports whether a process is in the cgroup or below it. Its line in
// /proc/PID/cgroup is a path from a root that we need not know; the last part of
// ours is a session's id and thus unique.
func (c *cgroup) holds(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return false
	}
	name := "/" + filepath.Base(c.path) + "/"
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "0::"); ok {
			return strings.Contains(path+"/", name)
		}
	}
	return false
}

// oomKills returns how many of its processes the out-of-memory killer has ended.
// Without a memory controller that is not known, and 0.
func (c *cgroup) oomKills() int {
	data, err := os.ReadFile(filepath.Join(c.path, "memory.events"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(count))
			return n
		}
	}
	return 0
}

// remove removes it with the cgroups that the command has made below.
func (c *cgroup) remove() error {
	c.dir.Close()
	if err := removeCgroups(c.path); err != nil {
		return fmt.Errorf("cannot remove cgroup: %w", err)
	}
	return nil
}

func removeCgroups(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return ignoreNotExist(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroups(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return ignoreNotExist(unix.Rmdir(path))
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
