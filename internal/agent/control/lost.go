package control

import (
	"os"
	"time"

	"banger"
	"banger/internal/records"
	"banger/internal/sessiondir"
)

// lost returns the final state of a session that has lost its shim, of which the
// disk says state, or why that cannot be read. What is left of the session is
// killed first.
func (s *server) lost(x *session, state sessiondir.State, readErr error, witnessed bool) sessiondir.State {
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
	case state.BootID != s.bootID && state.BootID != "":
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
		if err := s.killLeftovers(x.id); err != nil {
			s.Logger.Warn("cannot kill what a session has left", "session", x.id, "cause", err)
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
