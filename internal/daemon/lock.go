package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/filelock"
	"banger/internal/process"
)

// lock makes sure that this is the only daemon of the installation. The kernel
// releases it when the process ends, however that happens.
func lock(path string) (*filelock.Named, error) {
	l, err := filelock.Take(path, strconv.Itoa(os.Getpid())+"\n")
	if errors.Is(err, filelock.ErrHeld) {
		_, holder, _ := filelock.Held(path) // only to say who; it may just be writing it
		return nil, banger.Errorf(banger.CodeExists, "cannot start daemon: one runs already with pid %s", strings.TrimSpace(holder)).
			WithHint("use it, or stop it first with: banger daemon stop")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start daemon: cannot take its lock: %w", err)
	}
	return l, nil
}

// predecessorPatience bounds the wait for the end of a daemon that was told to end.
const predecessorPatience = 30 * time.Second

// endPredecessors ends the daemons of builds whose lock lay in XDG_RUNTIME_DIR, and may
// be gone with it, while they have the database open. Their VMs and sessions keep running.
// Daemons of later builds have ended: the caller holds their lock.
func endPredecessors(ctx context.Context, database string, log *slog.Logger) error {
	info, err := os.Stat(database)
	if err != nil {
		return nil //nolint:nilerr // there is no database yet, or opening it reports why not
	}
	ctx, cancel := context.WithTimeout(ctx, predecessorPatience)
	defer cancel()
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commands {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || pid == os.Getpid() || !isDaemon(path) || !hasOpen(pid, info) {
			continue
		}
		if err := endPredecessor(ctx, pid); err != nil {
			return banger.Errorf(banger.CodeExists, "cannot start daemon: one of an older build runs already with pid %d: %w", pid, err).
				WithHint("end it with: kill %d", pid)
		}
		log.Info("ended the daemon of an older build", "pid", pid)
	}
	return nil
}

// isDaemon reports whether a command line, proc(5), is that of banger daemon run.
func isDaemon(path string) bool {
	data, err := os.ReadFile(path)
	args := strings.Split(string(data), "\x00")
	return err == nil && len(args) > 2 && args[1] == "daemon" && args[2] == "run"
}

// hasOpen reports whether a process has a file open, as far as this user may know.
func hasOpen(pid int, file os.FileInfo) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if info, err := os.Stat(link); err == nil && os.SameFile(info, file) {
			return true
		}
	}
	return false
}

func endPredecessor(ctx context.Context, pid int) error {
	id, err := process.Identify(pid)
	if errors.Is(err, process.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return id.AwaitEnd(ctx)
}
