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
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/cgroups"
	"banger/internal/agent/pidfd"
)

// cgroup is the session's own cgroup (v2, Documentation/admin-guide/cgroup-v2.rst).
// The command is started straight into it, so that nothing can leave it unseen.
type cgroup struct {
	path string
	dir  *os.File
}

func createCgroup(root, id string, limits banger.Limits) (*cgroup, error) {
	path := filepath.Join(root, id)
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create cgroup: %w", err)
	}
	dir, err := os.Open(path)
	if err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("cannot open cgroup: %w", err)
	}
	c := &cgroup{path: path, dir: dir}
	if err := c.limit(limits); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// cpuPeriod is the time over which a limit of CPU is kept, in µs: the kernel's default.
const cpuPeriod = 100_000

// limit sets what the processes of the cgroup can have together.
func (c *cgroup) limit(l banger.Limits) error {
	var errs error
	set := func(what, file, value string) {
		err := os.WriteFile(filepath.Join(c.path, file), []byte(value), 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // cgroupfs makes no files
			err = errors.New("the cgroup has no such controller here")
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("cannot limit %s: %w", what, err))
		}
	}
	if l.MemoryBytes > 0 {
		set("memory", "memory.max", strconv.FormatInt(l.MemoryBytes, 10))
		if _, err := os.Stat(filepath.Join(c.path, "memory.swap.max")); err == nil {
			set("swap", "memory.swap.max", "0") // else the limit would only move what is above it
		}
	}
	if l.CPUs > 0 {
		set("CPU", "cpu.max", fmt.Sprintf("%d %d", int64(l.CPUs*cpuPeriod), cpuPeriod))
	}
	if l.PIDs > 0 {
		set("processes", "pids.max", strconv.FormatInt(l.PIDs, 10))
	}
	return errs
}

// killTimeout is how long a kill waits for the end of what was killed.
const killTimeout = 100 * time.Millisecond

// kill kills every process in it, those that are being forked included, and waits a
// moment for their end.
func (c *cgroup) kill() error {
	err := cgroups.Kill(c.path)
	if err == nil {
		_ = cgroups.AwaitEmpty(c.path, killTimeout) // who takes longer is waited for elsewhere
	}
	return err
}

// signal sends signals to every process that is in it now.
func (c *cgroup) signal(signals ...unix.Signal) error {
	var errs error
	err := c.each(func(pid int) { errs = errors.Join(errs, c.signalMember(pid, signals)) })
	return errors.Join(errs, err)
}

// each calls fn with every process that is in it now or below it.
func (c *cgroup) each(fn func(pid int)) error {
	return filepath.WalkDir(c.path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return ignoreNotExist(err)
		}
		procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return ignoreNotExist(err)
		}
		for _, field := range bytes.Fields(procs) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				fn(pid)
			}
		}
		return nil
	})
}

// signalMember signals a process if it still is in the cgroup. The pid may have
// been given to another one since it was read; the descriptor pins what it means
// now, and a second look reports whether that is ours.
func (c *cgroup) signalMember(pid int, signals []unix.Signal) error {
	process, ok := pidfd.Open(pid)
	if !ok {
		return nil // it is gone
	}
	defer process.Close()
	if !c.holds(pid) {
		return nil
	}
	for _, sig := range signals {
		if err := process.Signal(sig); err != nil {
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

// usage returns what its processes have used since it was made; what is not
// counted here, for want of a controller or in an old kernel, is 0.
func (c *cgroup) usage() banger.Usage {
	return banger.Usage{
		CPUTimeUS:       c.number("cpu.stat", "usage_usec "),
		MemoryPeakBytes: c.number("memory.peak", ""),
		OOMKills:        c.number("memory.events", "oom_kill "),
	}
}

// number returns the number behind key in one of the cgroup's files.
func (c *cgroup) number(file, key string) int64 {
	data, err := os.ReadFile(filepath.Join(c.path, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}

// remove removes it with the cgroups that the command has made below.
func (c *cgroup) remove() error {
	c.dir.Close()
	if err := cgroups.Remove(c.path); err != nil {
		return fmt.Errorf("cannot remove cgroup: %w", err)
	}
	return nil
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
