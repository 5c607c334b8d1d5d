// Package cgroups ends what is in control groups (v2);
// Documentation/admin-guide/cgroup-v2.rst.
package cgroups

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Kill kills every process in a cgroup and below it, those that are being forked
// included. It does not wait for their end.
func Kill(path string) error {
	return os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0)
}

// AwaitEmpty returns when no live process is in a cgroup or below it; one that has not
// been reaped is none. A change of its cgroup.events wakes poll(2) with POLLPRI.
func AwaitEmpty(path string, limit time.Duration) error {
	events, err := os.Open(filepath.Join(path, "cgroup.events"))
	if err != nil {
		return err
	}
	defer events.Close()
	deadline := time.Now().Add(limit)
	buf := make([]byte, 512)
	for {
		n, err := events.ReadAt(buf, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if bytes.Contains(buf[:n], []byte("populated 0")) {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("processes of cgroup %s do not die", path)
		}
		wait := []unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(wait, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}

// Remove removes a cgroup, in which no process is any more, with all below it. One that
// does not exist is not an error.
func Remove(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return ignoreNotExist(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := Remove(filepath.Join(path, e.Name())); err != nil {
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
