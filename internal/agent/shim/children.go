package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// killChildren kills every child of this process. Since it is a subreaper
// (prctl(2)), each death makes the dead one's children its own: so to call this
// after each reaping until there are no children kills the whole tree, whoever
// double-forked or began a session of its own. A child that is not reaped keeps
// its pid, so nobody else is ever hit; the caller reaps on the same goroutine.
func killChildren() error {
	// The kernel lists children by the thread that they belong to; proc(5).
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		return errors.Join(errors.New("cannot list children: the kernel has no CONFIG_PROC_CHILDREN"), err)
	}
	var errs error
	for _, list := range lists {
		pids, err := os.ReadFile(list)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // the thread has ended
				errs = errors.Join(errs, err)
			}
			continue
		}
		for _, field := range bytes.Fields(pids) {
			pid, err := strconv.Atoi(string(field))
			if err != nil {
				return fmt.Errorf("cannot list children: %w", err)
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				errs = errors.Join(errs, fmt.Errorf("cannot kill process %d: %w", pid, err))
			}
		}
	}
	return errs
}
