package shim

import (
	"syscall"

	"banger"
	"banger/internal/signalname"
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
		s.ExitSignal = signalname.Of(e.status.Signal())
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
