package ondemand

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"banger"
)

const (
	maxReportBytes  = 64 << 10
	maxLogTailBytes = 2 << 10
)

// spawn runs the command as a process that outlives this one: a session of its
// own, no terminal, its output in the log. The process inherits the writing end
// of a pipe as file descriptor 3. It closes it when it serves; if it cannot
// serve, it writes a banger.Error as JSON first. spawn returns a connection to
// it. When ctx ends it returns too and the process continues.
func (l *Launcher) spawn(ctx context.Context) (net.Conn, error) {
	log, err := os.OpenFile(l.paths.DaemonLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot start daemon: %w", err)
	}
	defer log.Close()
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("cannot start daemon: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start daemon: %w", err)
	}
	defer r.Close()

	cmd := exec.Command(l.command[0], l.command[1:]...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close() // so that the daemon's end is the only one
	if err != nil {
		return nil, fmt.Errorf("cannot start daemon: %w", err)
	}
	unblock := context.AfterFunc(ctx, func() { _ = r.Close() })
	defer unblock()
	report, _ := io.ReadAll(io.LimitReader(r, maxReportBytes)) // to its end, or to that of ctx
	if ctx.Err() != nil {
		_ = cmd.Process.Release()
		return nil, banger.Errorf(banger.CodeTimeout, "cannot start daemon: it is not ready yet: %w", context.Cause(ctx)).
			WithHint("see its log: %s", l.paths.DaemonLog())
	}
	return l.started(ctx, cmd, report, logStart)
}

// started connects to the daemon that cmd has become, or finds out why it has
// not. A daemon that somebody else started meanwhile will do too.
func (l *Launcher) started(ctx context.Context, cmd *exec.Cmd, report []byte, logStart int64) (net.Conn, error) {
	reported := len(report) > 0
	var exit error
	if reported {
		exit = cmd.Wait() // a report is the last thing it does
	}
	conn, err := l.settle(ctx)
	if conn == nil && err == nil {
		if !reported {
			exit = cmd.Wait()
		}
		return nil, l.failedStart(report, exit, logStart)
	}
	if !reported {
		_ = cmd.Process.Release()
	}
	return conn, err
}

// failedStart is the daemon's own error, or where it left none, the end of what
// it logged.
func (l *Launcher) failedStart(report []byte, exit error, logStart int64) error {
	var e banger.Error
	if err := json.Unmarshal(report, &e); err == nil && e.Message != "" {
		const prefix = "cannot start daemon: "
		e.Message = prefix + strings.TrimPrefix(e.Message, prefix)
		return &e
	}
	message := "it ended without a report"
	if exit != nil {
		message += " (" + exit.Error() + ")"
	}
	if tail := l.logTail(logStart); tail != "" {
		message += ":\n" + tail
	}
	return banger.Errorf(banger.CodeInternal, "cannot start daemon: %s", message).
		WithHint("its log is %s", l.paths.DaemonLog())
}

// logTail returns the end of what was logged after an offset, as far as it can
// be read.
func (l *Launcher) logTail(start int64) string {
	f, err := os.Open(l.paths.DaemonLog())
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		if info.Size() < start {
			start = 0 // the daemon has begun the next log
		}
		start = max(start, info.Size()-maxLogTailBytes)
	}
	data, _ := io.ReadAll(io.NewSectionReader(f, start, maxLogTailBytes))
	return strings.TrimSpace(string(data))
}
