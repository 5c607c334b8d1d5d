package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"banger"
	"banger/internal/records"
	"banger/internal/sessiondir"
	"banger/internal/vmm"
)

// MachineEnded records the end of all sessions that ran in a machine, many in one
// transaction: as the guest recorded it on its disk, else as end says. Once the disk has
// been read nothing newer can be on it. Of what cannot be read the end is a presumption,
// which the guest corrects at its next boot. After an error some ends may be recorded: the
// next call records the others.
func (r *Reconciler) MachineEnded(ctx context.Context, vm banger.VMID, end vmm.MachineEnd) error {
	r.setBoot(vm, boot{}) // what is presumed now is corrected when the guest is up again
	sessions, err := r.store.ListSessions(ctx, vm)
	if err != nil {
		return err
	}
	e := ending{store: r.store, log: r.log, vm: vm, end: end, ended: map[banger.SessionID]bool{}}
	var ids []banger.SessionID
	for _, x := range sessions {
		ended := x.Status.Ended()
		if ended && x.Survivors == nil {
			continue
		}
		if ids = append(ids, x.ID); ended {
			e.ended[x.ID] = true
		} else if err := r.launches.interrupt(ctx, x.Key()); err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := e.record(ctx, ids); err != nil {
		return err
	}
	r.paces.forget(vm)
	r.keeper.lookNow(vm)
	return nil
}

// remains are what is left of one session on a disk.
type remains struct {
	state    banger.SessionState // as reports have it
	totals   *sessiondir.Totals  // of one whose end is not recorded; nil if unknown
	lastSign time.Time           // when it is known to have lived; zero if unknown
	unread   error               // why its record could not be read
}

// readRemains trusts nothing that it reads.
func readRemains(disk fs.FS, id banger.SessionID) remains {
	dir, err := fs.Sub(disk, string(id))
	var left sessiondir.Remains
	if err == nil {
		left, err = sessiondir.ReadRemains(dir, id)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return remains{unread: errors.New("the disk of its VM has no record of it")}
	}
	if err != nil {
		err = fmt.Errorf("cannot read its record on the disk of its VM: %w", err)
	}
	return remains{state: sessiondir.Report(left.State.SessionState), totals: left.Totals, lastSign: left.LastSign, unread: err}
}

// bytes is about what a guest's texts in it take.
func (r remains) bytes() int {
	return len(r.state.LastError) + len(r.state.LaunchMessage) + len(r.state.LaunchRawLog)
}

// recordEnd makes a session one that has ended. What one guest has written of one of its
// sessions cannot keep the others from their end.
func (r remains) recordEnd(x *banger.Session, end vmm.MachineEnd) {
	if r.unread == nil && r.state.Status.Ended() {
		told := *x
		if r.takeEnd(&told); records.CheckTransition(x.SessionState, told.SessionState) == nil {
			*x = told
			return
		}
	}
	r.presumeEnd(x, end)
}

// takeEnd makes a session one that has ended as its guest recorded it.
func (r remains) takeEnd(x *banger.Session) {
	sequence := max(x.Sequence, r.state.Sequence)
	x.SessionState = r.state
	x.Survivors = nil // they were processes of the machine
	x.Sequence, x.EndedAt = sequence, endOf(x.SessionState, x.EndedAt)
}

// presumeEnd makes a session one that has ended with its machine.
func (r remains) presumeEnd(x *banger.Session, end vmm.MachineEnd) {
	sequence := x.Sequence
	if r.unread == nil {
		// So a guest that finds at its next boot what was found here changes nothing.
		sequence = max(sequence, r.state.Sequence+1)
	}
	if r.state.Sequence > x.Sequence {
		x.SessionState = r.state
	}
	if t := r.totals; t != nil {
		x.StdoutBytes, x.StderrBytes = t.Stdout, t.Stderr
		x.StdinOffset, x.StdinEOF = max(x.StdinOffset, t.Stdin), x.StdinEOF || t.StdinEOF
	}
	if r.unread != nil {
		records.NoteError(&x.SessionState, r.unread.Error())
	}
	at := end.At
	if at.IsZero() {
		at = r.lastSeen(*x)
		records.NoteError(&x.SessionState, "nobody saw it end: the time of its end is that of its last sign of life")
	}
	x.Status, x.EndedBy, x.EndedAt = banger.StatusFailed, end.By, endOf(x.SessionState, at)
	x.Sequence = sequence
}

// maxGuestAhead is by how much a guest's clock may be ahead of this host's: it is set when
// it is wrong by more than a second, and drifts until then.
const maxGuestAhead = 2 * time.Second

// lastSeen is the last time at which a session is known to have lived, by the guest's
// clock as all times in its logs. What a guest says of the time to come is not believed.
func (r remains) lastSeen(x banger.Session) time.Time {
	if r.lastSign.IsZero() || r.lastSign.After(time.Now().Add(maxGuestAhead)) {
		return x.UpdatedAt
	}
	return r.lastSign
}
