package control

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"banger"
	"banger/internal/process"
	"banger/internal/records"
	"banger/internal/sessiondir"
)

// settler writes the last state of sessions that no shim owns. Safe for concurrent use.
type settler struct {
	bootID    string
	leftovers leftovers
	log       *slog.Logger
}

// settle records the end of a session that nobody owns, and reports whether it
// has ended. If witnessed, that happened just now.
func (s *settler) settle(x *session, witnessed bool) bool {
	lock, lockErr := sessiondir.TryLock(x.dir)
	if lockErr == nil {
		defer lock.Close()
	}
	// It is read under the lock, since the owner may just have written the end.
	state, err := sessiondir.ReadState(os.DirFS(x.dir))
	switch {
	case err == nil && state.Status.Ended():
		x.update(state.SessionState)
		return true
	case lockErr != nil && !errors.Is(lockErr, fs.ErrNotExist):
		return false // it has an owner, or we lack files or memory to find out
	case err != nil && !errors.Is(err, fs.ErrNotExist) && banger.CodeOf(err) != banger.CodeCorrupt:
		return false
	}
	lost := s.lost(x, state, err, witnessed)
	s.keep(x.dir, &lost, func(dir string, state sessiondir.State) error {
		return errors.Join(sessiondir.Settle(dir), sessiondir.WriteState(dir, state)) // it may have had no time to settle
	})
	x.update(lost.SessionState)
	return true
}

// lost returns the final state of a session that has lost its shim, of which the
// disk says state, or why that cannot be read. What is left of the session is
// killed first.
func (s *settler) lost(x *session, state sessiondir.State, readErr error, witnessed bool) sessiondir.State {
	state.ID = x.id
	state.Sequence++
	if readErr != nil {
		// It must be above all that were reported before, which are not known.
		state.Sequence = max(state.Sequence, time.Now().UnixMilli())
		records.NoteError(&state.SessionState, readErr.Error())
		if before, err := sessiondir.ReadStateBefore(os.DirFS(x.dir)); err == nil {
			state.BootID = before.BootID
		}
	}
	state.EndedAt = time.Now().UTC()
	if !witnessed {
		state.EndedAt = sessiondir.LastSign(os.DirFS(x.dir))
	}
	switch {
	case state.BootID != s.bootID && state.BootID != "", state.BootID == "" && !witnessed && beforeBoot(state.EndedAt):
		state.EndedBy = banger.EndedByVMLost
	case state.Status == banger.StatusStarting:
		state.EndedBy, state.LaunchStage = banger.EndedByLaunch, banger.StageLaunch
		state.LaunchMessage = "cannot start session: the guest's agent was killed while it started it"
	default:
		state.EndedBy = banger.EndedByShimLost
		records.NoteError(&state.SessionState, "the shim that owned the session was killed; how the command would have ended cannot be known")
	}
	state.Status = banger.StatusFailed
	if state.EndedBy != banger.EndedByVMLost {
		if err := s.leftovers.kill(x.id); err != nil {
			s.log.Warn("cannot kill what a session has left", "session", x.id, "cause", err)
			records.NoteError(&state.SessionState, err.Error())
		}
	}
	if t, err := sessiondir.NewReader(os.DirFS(x.dir)).InBoot(s.bootID).Totals(); err == nil {
		state.StdoutBytes, state.StderrBytes = t.Stdout, t.Stderr
		state.StdinOffset = max(state.StdinOffset, t.Stdin)
		state.StdinEOF = state.StdinEOF || t.StdinEOF
	}
	return state
}

// beforeBoot reports whether the machine has booted since a moment, if that is known. Of a
// session whose shim this boot has started something was written after the boot.
func beforeBoot(at time.Time) bool {
	up, err := process.Uptime()
	return err == nil && !at.IsZero() && at.Before(time.Now().Add(-up))
}

// fail records that a session, which we own, never ran, and returns its last state.
func (s *settler) fail(id banger.SessionID, dir string, f *launchFailure) banger.SessionState {
	state, err := sessiondir.ReadState(os.DirFS(dir))
	if err != nil {
		state = sessiondir.State{ID: id, BootID: s.bootID}
		state.LastError = err.Error()
	}
	state.Sequence++
	state.Status, state.EndedBy, state.EndedAt = banger.StatusFailed, banger.EndedByLaunch, time.Now().UTC()
	state.LaunchStage, state.LaunchCause, state.LaunchMessage, state.LaunchRawLog = f.stage, f.cause, f.message, f.rawLog
	state.SessionState = sessiondir.Report(state.SessionState)
	s.keep(dir, &state, sessiondir.SettleState)
	return state.SessionState
}

// keep writes the final state of a session that we own.
func (s *settler) keep(dir string, state *sessiondir.State, write func(string, sessiondir.State) error) {
	if err := write(dir, *state); err != nil {
		s.log.Error("cannot keep the end of a session", "session", state.ID, "cause", err)
		records.NoteError(&state.SessionState, err.Error())
	}
}
