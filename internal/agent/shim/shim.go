package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"banger/internal/sessiondir"
)

// Run is the whole life of a shim process. It must be called on the process's
// first thread, locked to it. It returns when the session has ended, with an
// error if there was nobody to tell why it could not begin.
func Run(ctx context.Context) error {
	if err := adoptFiles(); err != nil {
		return err
	}
	signals := watchSignals()
	s, err := begin(ctx, signals)
	report := Report{}
	if err != nil {
		report.Error = err.Error()
	} else {
		state := s.record.snapshot()
		report.State = &state
	}
	sendErr := sendReport(report)
	if err != nil || report.State.Status.Ended() {
		return sendErr
	}
	// Nobody may be there any more to read the report; the session goes on.
	s.supervise()
	return nil
}

// adoptFiles keeps the files that are meant for the shim from its command, and
// closes what else whoever started it has let slip.
func adoptFiles() error {
	inherited := func(fd int) bool { // what this process has opened is marked
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil && flags&unix.FD_CLOEXEC == 0
	}
	if !inherited(LockFD) || !inherited(ReportFD) {
		return errors.New("cannot run by itself: banger-shim is started by banger-agent for a session")
	}
	unix.CloseOnExec(LockFD)
	unix.CloseOnExec(ReportFD)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("cannot list open files: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > ReportFD && inherited(fd) {
			unix.Close(fd)
		}
	}
	return nil
}

// begin reads the launch and starts the session. An error means that it could
// not even be recorded as failed.
func begin(ctx context.Context, signals signals) (*session, error) {
	launch, err := readLaunch(os.Stdin)
	if err != nil {
		return nil, err
	}
	if err := os.Chdir("/"); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot become a subreaper: %w", err)
	}
	state, err := sessiondir.ReadState(os.DirFS(launch.Dir))
	if err != nil {
		return nil, err
	}
	s := newSession(launch.Dir, state, signals)
	if err := s.start(ctx, launch); err != nil {
		s.fail(err)
	}
	return s, nil
}

// sendReport sends the only message to whoever started the shim, and lets go of
// everything that was its.
func sendReport(r Report) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	pipe := os.NewFile(ReportFD, "report")
	defer pipe.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return fmt.Errorf("cannot leave the standard streams: %w", err)
		}
	}
	if _, err := pipe.Write(data); err != nil {
		return fmt.Errorf("cannot report: %w", err)
	}
	return nil
}
