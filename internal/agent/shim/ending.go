package shim

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"banger"
)

// ending is all that decides how a session is recorded once its command ended.
type ending struct {
	status syscall.WaitStatus
	asked  banger.EndedBy // who asked for the end; empty if nobody did
	ooms   int64          // processes of the session that the out-of-memory killer ended
}

// apply writes the end into the state, the times excepted.
func (e ending) apply(s *banger.SessionState) {
	s.Status = banger.StatusFailed
	if e.status.Signaled() {
		s.ExitSignal = signalName(e.status.Signal())
	} else {
		code := e.status.ExitStatus()
		s.ExitCode = &code
		if code == 0 {
			s.Status = banger.StatusExited
		}
	}
	s.EndedBy = e.endedBy()
}

func (e ending) endedBy() banger.EndedBy {
	switch {
	case e.asked != "":
		return e.asked
	case e.status.Signaled() && e.status.Signal() == syscall.SIGKILL && e.ooms > 0:
		return banger.EndedByOOM
	case e.status.Signaled():
		return banger.EndedBySignal
	}
	return banger.EndedByExit
}

// maxSignal is the highest signal of Linux; signal(7).
const maxSignal = 64

// signalNumber returns the signal of a name such as SIGHUP or SIG40, or of a number,
// 0 if there is none.
func signalNumber(name string) unix.Signal {
	if sig := unix.SignalNum(name); sig != 0 {
		return sig
	}
	n, err := strconv.Atoi(strings.TrimPrefix(name, "SIG"))
	if err != nil || n < 1 || n > maxSignal {
		return 0
	}
	return unix.Signal(n)
}

// signalName returns SIGKILL and so on; real-time signals have a number only.
func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("SIG%d", int(sig))
}
