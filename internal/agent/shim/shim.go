package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"banger/internal/agent/aging"
	"banger/internal/sessiondir"
)

// Run is the whole life of a shim process. It must be called on the process's
// first thread, locked to it. It returns when the session has ended, or when there
// will be none, with an error if there was nobody to report to why it could not begin.
func Run(ctx context.Context) error {
	if err := adoptFiles(); err != nil {
		return err
	}
	signals := watchSignals()
	if err := warmUp(); err != nil {
		return err
	}
	socket := &socket{}
	launch, err := socket.launch()
	if errors.Is(err, errUnused) {
		return nil
	}
	// Until now SIGTERM has ended the process, which had nothing else to end. From here
	// on it ends the session, be it just about to begin.
	signals.watchEnd()
	var s *session
	if err == nil {
		s, err = begin(ctx, launch, signals)
	}
	report := Report{}
	if err != nil {
		report.Error = err.Error()
	} else {
		state := s.record.snapshot()
		report.State = &state
	}
	data, sendErr := json.Marshal(report)
	if sendErr == nil {
		sendErr = socket.report(data)
	}
	if err != nil || report.State.Status.Ended() {
		return sendErr
	}
	// Nobody may be there any more to read the report; the session continues.
	s.supervise()
	return nil
}

// SetName gives the calling thread the name of the program; execve(2) took it from the
// descriptor by which that was started. PR_SET_NAME in prctl(2).
func SetName() {
	name := []byte("banger-shim\x00")
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
}

// adoptFiles keeps the files that are meant for the shim from its command, and
// closes what else whoever started it has let slip.
func adoptFiles() error {
	inherited := func(fd int) bool { // what this process has opened is marked
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil && flags&unix.FD_CLOEXEC == 0
	}
	if !inherited(SocketFD) {
		return errors.New("cannot run by itself: banger-shim is started by banger-agent for a session")
	}
	unix.CloseOnExec(SocketFD)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("cannot list open files: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > SocketFD && inherited(fd) {
			unix.Close(fd)
		}
	}
	return nil
}

// warmUp does once, before it counts, what the first message of a kind costs: the
// shim is started before anybody wants it.
func warmUp() error {
	data, err := json.Marshal(Report{State: &sessiondir.State{}})
	if err != nil {
		return err
	}
	return errors.Join(json.Unmarshal(data, &Report{}), json.Unmarshal([]byte(`{"argv":["-"],"env":["-"]}`), &Launch{}))
}

// begin starts the session of a launch. An error means that it could not even be
// recorded as failed.
func begin(ctx context.Context, launch Launch, signals signals) (*session, error) {
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
	// It may lie where old files are removed; without the lock the session runs, too.
	s.used, _ = aging.Exclude(launch.Dir)
	if err := s.start(ctx, launch); err != nil {
		s.fail(err)
	}
	return s, nil
}
