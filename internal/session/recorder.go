package session

import (
	"context"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/records"
)

// recorder changes the record of one session, and lets all know that have to.
type recorder struct {
	store    Store
	launches *launches
	paces    *paces
	keeper   *keeper
}

func (r *recorder) update(ctx context.Context, key banger.SessionKey, change func(*banger.Session) error) error {
	x, err := r.store.UpdateSession(ctx, key, change)
	if err == nil {
		r.launches.recorded(x)
		r.paces.of(x.VMID).recorded(x)
	}
	if err == nil && x.Status.Ended() {
		r.keeper.lookNow(x.VMID)
	}
	return err
}

// apply copies a guest's report into the record, unless the record is newer.
func (r *recorder) apply(ctx context.Context, of branch, report guestapi.GuestSession) error {
	return r.update(ctx, banger.SessionKey{VM: of.vm, Session: report.ID}, func(x *banger.Session) error { return takeReport(x, of, report) })
}

// recordMissing records the end of a session that ran and that its guest does not
// know.
func (r *recorder) recordMissing(ctx context.Context, of branch, id banger.SessionID) error {
	return r.update(ctx, banger.SessionKey{VM: of.vm, Session: id}, func(x *banger.Session) error {
		if err := of.check(*x); err != nil {
			return err
		}
		if !x.Status.Ended() {
			fail(x, banger.EndedByShimLost)
			x.LastError = "the guest has no record of it any more; its end cannot be known"
		}
		return nil
	})
}

// failLaunch records that a session never ran.
func (r *recorder) failLaunch(ctx context.Context, launched banger.Session, stage banger.LaunchStage, cause error) error {
	return r.update(ctx, launched.Key(), func(x *banger.Session) error {
		if err := branchOf(launched).check(*x); err != nil {
			return err
		}
		if x.Status == banger.StatusStarting { // else the guest knew better in the meantime
			fail(x, banger.EndedByLaunch)
			x.LaunchStage, x.LaunchMessage = stage, cause.Error()
		}
		return nil
	})
}

// branch is where a guest's report comes from: a VM, in one of its epochs; in any if epoch
// is empty.
type branch struct {
	vm    banger.VMID
	epoch banger.Epoch
}

func branchOf(x banger.Session) branch { return branch{x.VMID, x.Epoch} }

// check refuses what comes from a branch about a session of another.
func (b branch) check(x banger.Session) error {
	if x.VMID != b.vm || b.epoch != "" && x.Epoch != b.epoch {
		return banger.Errorf(banger.CodeNotFound, "cannot update session %s: it belongs to another VM or another epoch", x.ID)
	}
	return nil
}

// takeReport copies a report of a VM's guest into the record x, unless that is newer.
// An invalid one changes nothing, nor does that of an epoch which the VM has left.
func takeReport(x *banger.Session, of branch, r guestapi.GuestSession) error {
	if err := of.check(*x); err != nil {
		return err
	}
	if r.Sequence <= x.Sequence {
		return nil
	}
	if err := records.CheckTransition(x.SessionState, r.SessionState); err != nil {
		return err
	}
	x.SessionState = r.SessionState
	if r.GuestStateDir != "" {
		setGuestDir(x, r.GuestStateDir)
	}
	if r.Status.Ended() {
		x.EndedAt = endOf(r.SessionState, r.EndedAt)
	}
	return nil
}

// fail makes a session one that has ended now without its guest's word for it.
func fail(x *banger.Session, by banger.EndedBy) {
	x.Status, x.EndedBy = banger.StatusFailed, by
	x.EndedAt = endOf(x.SessionState, time.Now().UTC())
}

// endOf returns at, or when the session started if that is later: the two are
// told by clocks that differ and that may be set.
func endOf(s banger.SessionState, at time.Time) time.Time {
	if at.Before(s.StartedAt) {
		return s.StartedAt
	}
	return at
}
