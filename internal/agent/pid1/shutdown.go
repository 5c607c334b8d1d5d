package pid1

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/agent/cgroups"
	"banger/internal/guestconfig"
)

// The steps of a shutdown and how long each may take. The host waits longer.
const (
	shimsLimit = 8 * time.Second // sessions get SIGTERM, and SIGKILL 5 s later
	termLimit  = 2 * time.Second
	killLimit  = 2 * time.Second
)

// shutDown ends all processes, calls announce, and writes out the disks.
func shutDown(children <-chan os.Signal, s *supervisor, log *slog.Logger, announce func()) {
	endProcesses(children, func() []int { return processesOf("/proc", guestconfig.ShimPath) }, log)
	s.waiters.Wait()
	announce()
	if err := linkDown(networkInterface); err != nil {
		log.Warn("cannot take the network down", "error", err)
	}
	unmountAll(log)
}

// endProcesses ends the sessions first, by their shims: the server still runs
// then, so that the host hears how they ended. Then it ends every other process.
func endProcesses(children <-chan os.Signal, shims func() []int, log *slog.Logger) {
	if left := endSessions(shims, shimsLimit); left > 0 {
		log.Warn("sessions did not end in time", "sessions", left)
	}
	for _, round := range []struct {
		signal unix.Signal
		limit  time.Duration
	}{{unix.SIGTERM, termLimit}, {unix.SIGKILL, killLimit}} {
		_ = unix.Kill(-1, round.signal) // all but init itself; fails if there is none
		if waitForAll(children, round.limit) {
			return
		}
	}
	log.Warn("some processes could not be killed")
}

// endSessions terminates shims, and those that have been started meanwhile, and returns
// when there is no new one or how many have not ended after limit. A shim that waits for
// its launch is one of them, since it may have got that after it was found.
func endSessions(shims func() []int, limit time.Duration) (left int) {
	deadline := time.Now().Add(limit)
	seen := map[int]bool{}
	for left == 0 {
		found := slices.DeleteFunc(shims(), func(pid int) bool { return seen[pid] })
		if len(found) == 0 {
			break
		}
		for _, pid := range found {
			seen[pid] = true
		}
		left = terminate(found, time.Until(deadline))
	}
	return left
}

// EndSessions ends all sessions in a guest of systemd, as at a shutdown, and what they have left
// alive on purpose. It returns when their records are written.
func EndSessions() error {
	left := endSessions(func() []int { return processesOf("/proc", guestconfig.ShimPath) }, shimsLimit)
	entries, err := os.ReadDir(SystemdCgroup)
	for _, e := range entries {
		if path := filepath.Join(SystemdCgroup, e.Name()); e.IsDir() && path != SystemdShims {
			err = errors.Join(err, cgroups.Kill(path))
		}
	}
	if left > 0 {
		err = errors.Join(err, fmt.Errorf("%d sessions did not end in %v", left, shimsLimit))
	}
	if err != nil {
		return fmt.Errorf("cannot end all sessions: %w", err)
	}
	return nil
}

// processesOf lists the processes that run the program at path.
func processesOf(proc, path string) []int {
	var pids []int
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "exe")) // the pattern is right
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || strings.TrimSuffix(target, " (deleted)") != path {
			continue // a kernel thread, or it has just ended
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// terminate sends SIGTERM to processes, which need not be our children, and
// returns when all have ended or how many have not after limit.
func terminate(pids []int, limit time.Duration) (left int) {
	var running []unix.PollFd
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		defer unix.Close(fd)
		_ = unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
		running = append(running, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	deadline := time.Now().Add(limit)
	for len(running) > 0 {
		wait := time.Until(deadline)
		if wait <= 0 {
			break
		}
		_, err := unix.Poll(running, int(wait.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
		still := running[:0]
		for _, p := range running { // a pidfd is readable when its process has ended
			if p.Revents == 0 {
				still = append(still, p)
			}
		}
		running = still
	}
	return len(running)
}

// waitForAll reaps until no other process is left, and reports whether it came
// to that within limit. Every process without a parent is a child of init.
func waitForAll(children <-chan os.Signal, limit time.Duration) bool {
	timeout := time.After(limit)
	for {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if errors.Is(err, unix.ECHILD) {
				return true
			}
			if pid <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
		select {
		case <-children:
		case <-timeout:
			return false
		}
	}
}
