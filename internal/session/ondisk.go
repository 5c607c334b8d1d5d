package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// MachineEnded records the end of all sessions that ran in a machine, in one transaction:
// as the guest recorded it on its disk, else as end says. Once the disk has been read
// nothing newer can be on it. Of what cannot be read the end is a presumption, which the
// guest corrects at its next boot.
func (s *Service) MachineEnded(ctx context.Context, vm banger.VMID, end banger.MachineEnd) error {
	s.setBoot(vm, "") // what is presumed now is corrected when the guest is up again
	sessions, err := s.store.ListSessions(ctx, vm)
	if err != nil {
		return err
	}
	// Processes that had outlived a session before its machine ended live no more.
	sessions = slices.DeleteFunc(sessions, func(x banger.Session) bool { return x.Status.Ended() && x.Survivors == nil })
	if len(sessions) == 0 {
		return nil
	}
	for _, x := range sessions {
		if err := s.interrupt(ctx, x.ID); err != nil {
			return err
		}
	}
	alive := slices.DeleteFunc(slices.Clone(sessions), func(x banger.Session) bool { return x.Status.Ended() })
	left := map[banger.SessionID]remains{}
	if len(alive) > 0 {
		left = s.readRemains(ctx, vm, alive, end)
	}
	ids := make([]banger.SessionID, len(sessions))
	for i, x := range sessions {
		ids[i] = x.ID
	}
	err = s.store.UpdateSessions(ctx, ids, func(x *banger.Session) error {
		if r, ok := left[x.ID]; ok && !x.Status.Ended() {
			r.recordEnd(x, end)
		}
		if x.Status.Ended() {
			x.Survivors = nil
		}
		return nil
	})
	if err == nil {
		s.forgetPace(vm)
		s.keeper.lookNow(vm)
	}
	return err
}

// readRemains reads what is left of sessions on the disk of a machine that has ended.
func (s *Service) readRemains(ctx context.Context, vm banger.VMID, sessions []banger.Session, end banger.MachineEnd) map[banger.SessionID]remains {
	left := make(map[banger.SessionID]remains, len(sessions))
	err := end.Disk(ctx, func(ctx context.Context, disk fs.FS) error {
		for _, x := range sessions {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			left[x.ID] = readRemains(disk, x.ID)
		}
		return nil
	})
	if err == nil {
		return left
	}
	s.log.Error("cannot read what became of sessions", "vm", vm, "cause", err)
	for _, x := range sessions {
		if _, ok := left[x.ID]; !ok {
			left[x.ID] = remains{unread: fmt.Errorf("cannot read its record on the disk of its VM: %w", err)}
		}
	}
	return left
}

// remains are what is left of one session on a disk.
type remains struct {
	state    sessiondir.State
	totals   *sessiondir.Totals // of one whose end is not recorded; nil if unknown
	lastSign time.Time          // when it is known to have lived; zero if unknown
	unread   error              // why its record could not be read
}

// readRemains trusts nothing that it reads.
func readRemains(disk fs.FS, id banger.SessionID) (r remains) {
	dir, err := fs.Sub(disk, string(id))
	if err == nil {
		r.state, err = sessiondir.ReadState(dir)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return remains{unread: errors.New("the disk of its VM has no record of it")}
	case err == nil && r.state.ID != id:
		err = fmt.Errorf("it is that of session %s", r.state.ID)
	}
	if err != nil {
		r = remains{unread: fmt.Errorf("cannot read its record on the disk of its VM: %w", err)}
	}
	if r.state.Status.Ended() {
		return r
	}
	r.lastSign = sessiondir.LastSign(dir)
	if totals, err := sessiondir.NewReader(dir).Totals(); err == nil {
		r.totals = &totals
	}
	return r
}

// recordEnd makes a session one that has ended. What one guest has written of one of its
// sessions cannot keep the others from their end.
func (r remains) recordEnd(x *banger.Session, end banger.MachineEnd) {
	if r.unread == nil && r.state.Status.Ended() {
		told := *x
		if r.takeEnd(&told); x.CheckTransition(told.SessionState) == nil {
			*x = told
			return
		}
	}
	r.presumeEnd(x, end)
}

// takeEnd makes a session one that has ended as its guest recorded it.
func (r remains) takeEnd(x *banger.Session) {
	sequence := max(x.Sequence, r.state.Sequence)
	x.SessionState = sessiondir.Report(r.state.SessionState)
	x.Survivors = nil // they were processes of the machine
	x.Sequence, x.EndedAt = sequence, endOf(x.SessionState, x.EndedAt)
}

// presumeEnd makes a session one that has ended with its machine.
func (r remains) presumeEnd(x *banger.Session, end banger.MachineEnd) {
	sequence := x.Sequence
	if r.unread == nil {
		// So a guest that finds at its next boot what was found here changes nothing.
		sequence = max(sequence, r.state.Sequence+1)
	}
	if r.state.Sequence > x.Sequence {
		x.SessionState = sessiondir.Report(r.state.SessionState)
	}
	if t := r.totals; t != nil {
		x.StdoutBytes, x.StderrBytes = t.Stdout, t.Stderr
		x.StdinOffset, x.StdinEOF = max(x.StdinOffset, t.Stdin), x.StdinEOF || t.StdinEOF
	}
	if r.unread != nil {
		x.NoteError(r.unread.Error())
	}
	at := end.At
	if at.IsZero() {
		at = r.lastSeen(*x)
		x.NoteError("nobody saw it end: the time of its end is that of its last sign of life")
	}
	x.Status, x.EndedBy, x.EndedAt = banger.StatusFailed, end.By, endOf(x.SessionState, at)
	x.Sequence = sequence
}

// lastSeen is the last time at which a session is known to have lived. What a guest
// says of the time to come is not believed.
func (r remains) lastSeen(x banger.Session) time.Time {
	now := time.Now().UTC()
	if r.lastSign.IsZero() || r.lastSign.After(now) {
		return x.UpdatedAt
	}
	return r.lastSign
}
