package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/pidfd"
	"banger/internal/process"
)

// killChildren kills every child of this process. Since it is a subreaper
// (prctl(2)), each death makes the dead one's children its own: so to call this
// after each reaping until there are no children kills the whole tree, whoever
// double-forked or began a session of its own. A child that is not reaped keeps
// its pid, so nobody else is ever hit; the caller reaps on the same goroutine.
func killChildren() error {
	children, err := childrenOf(os.Getpid())
	for _, pid := range children {
		if killErr := unix.Kill(pid, unix.SIGKILL); killErr != nil {
			err = errors.Join(err, fmt.Errorf("cannot kill process %d: %w", pid, killErr))
		}
	}
	return err
}

// signalTree sends a signal to every process below this one, as they are now. A
// child of ours keeps its pid until we reap it; of any other the descriptor pins
// what the pid means, and a second look reports whether that is in the tree.
func signalTree(sig unix.Signal) error {
	var errs error
	err := eachDescendant(os.Getpid(), func(pid, parent int) {
		opened, ok := pidfd.Open(pid)
		if !ok {
			return // it is gone
		}
		defer opened.Close()
		if siblings, _ := childrenOf(parent); !slices.Contains(siblings, pid) {
			return
		}
		if err := opened.Signal(sig); err != nil {
			errs = errors.Join(errs, fmt.Errorf("cannot signal process %d: %w", pid, err))
		}
	})
	return errors.Join(errs, err)
}

// eachDescendant calls fn with every process below another one, and its parent.
func eachDescendant(parent int, fn func(pid, parent int)) error {
	children, err := childrenOf(parent)
	if err != nil {
		return err
	}
	for _, pid := range children {
		fn(pid, parent)
		if err := eachDescendant(pid, fn); err != nil {
			return err
		}
	}
	return nil
}

// childrenOf returns the children of a process; none if it has ended.
func childrenOf(pid int) ([]int, error) {
	// The kernel lists children by the thread that they belong to; proc(5).
	threads := "/proc/" + strconv.Itoa(pid) + "/task"
	lists, err := filepath.Glob(threads + "/*/children")
	if err != nil || len(lists) == 0 {
		if _, err := os.Stat(threads); err != nil {
			return nil, nil
		}
		return nil, errors.New("cannot list children: the kernel has no CONFIG_PROC_CHILDREN")
	}
	var children []int
	var errs error
	for _, list := range lists {
		pids, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) { // the thread has ended
			errs = errors.Join(errs, err)
		}
		for _, field := range bytes.Fields(pids) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				children = append(children, pid)
			}
		}
	}
	return children, errs
}

// survivorsOf lists what is left of a session: the members of its cgroup, or the
// processes below this one. It is nil if there are none.
func survivorsOf(group *cgroup) (*banger.Survivors, error) {
	s := &banger.Survivors{}
	note := func(pid int) {
		if stat, err := process.ReadStat(pid); err != nil || stat.Ended() {
			return
		}
		s.Count++
		if len(s.Processes) < banger.MaxSurvivors {
			s.Processes = append(s.Processes, banger.Process{PID: pid, Command: commandName(pid)})
		}
	}
	var err error
	if group != nil {
		err = group.each(note)
	} else {
		err = eachDescendant(os.Getpid(), func(pid, _ int) { note(pid) })
	}
	if s.Count == 0 {
		return nil, err
	}
	return s, err
}

// commandName returns the name of a process's program as the kernel keeps it.
func commandName(pid int) string {
	comm, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.ToValidUTF8(string(bytes.TrimSuffix(comm, []byte("\n"))), "\uFFFD")
}
