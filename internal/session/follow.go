package session

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"banger"
	"banger/internal/guestapi"
)

// Reconciler keeps the records of sessions true to what guests report and to what is on
// the disks of machines that have ended.
type Reconciler struct {
	store    Store
	vms      VMs
	launches *launches
	recorder *recorder
	paces    *paces
	keeper   *keeper
	tasks    *tasks
	log      *slog.Logger

	mu    sync.Mutex           // guards boots
	boots map[banger.VMID]boot // see follower.GuestUp
}

// Guest returns the handler of what the guest in one machine reports. epoch is the one that
// the VM is in when the machine begins or is found: it never moves to another, so that its
// reports change nothing once the VM has.
func (r *Reconciler) Guest(id banger.VMID, epoch banger.Epoch) guestapi.GuestHandler {
	return &follower{Reconciler: r, of: branch{id, epoch}}
}

// follower brings the records of one VM's sessions in line with its guest.
type follower struct {
	*Reconciler
	of branch
}

// GuestUp implements guestapi.GuestHandler. The first time in a boot of the guest it goes
// through all that is on the disk, which may correct what was presumed of sessions that
// have ended. Each time it asks about those that have not, and the guest's changes
// follow from there: what a reconnect costs is a matter of these, and not of how many have
// ended. A session that cannot be settled now does not keep the others from their guest.
func (f *follower) GuestUp(ctx context.Context, hello guestapi.GuestHello, g guestapi.Guest) error {
	sessions, err := f.store.ListSessions(ctx, f.of.vm)
	if err != nil {
		return err
	}
	f.paces.of(f.of.vm).begin(sessions)
	if now := (boot{f.of.epoch, hello.BootID}); f.bootOf(f.of.vm) != now {
		if _, err := f.applyAll(ctx, g, sessions, nil); err != nil {
			return err
		}
		f.setBoot(f.of.vm, now)
		if sessions, err = f.store.ListSessions(ctx, f.of.vm); err != nil {
			return err
		}
	}
	var open []banger.SessionID
	for _, x := range sessions {
		if !x.Status.Ended() || x.Survivors != nil {
			open = append(open, x.ID)
		}
	}
	var reported map[banger.SessionID]bool
	if len(open) > 0 {
		if reported, err = f.applyAll(ctx, g, sessions, open); err != nil {
			return err
		}
	}
	for _, x := range sessions {
		if x.Status.Ended() || reported[x.ID] || f.launches.claimed(x.Key()) {
			continue
		}
		err := f.settle(ctx, g, x)
		if banger.CodeOf(err) == banger.CodeUnavailable || ctx.Err() != nil {
			return fmt.Errorf("cannot settle session %s: %w", x.ID, err)
		}
		if err != nil {
			f.log.Error("cannot settle session", "vm", f.of.vm, "session", x.ID, "cause", err)
		}
	}
	f.keeper.lookNow(f.of.vm)
	return nil
}

// boot is one of a VM's guest, in one of its epochs: a snapshot with memory has the boot of
// the machine that it was taken of.
type boot struct {
	epoch banger.Epoch
	id    string
}

// bootOf returns the boot of a VM's guest whose disk this process has gone through, none if
// that has to be done again.
func (r *Reconciler) bootOf(vm banger.VMID) boot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.boots[vm]
}

func (r *Reconciler) setBoot(vm banger.VMID, now boot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.boots[vm] = now
}

// changesAtOnce is how many sessions change in one transaction. All others wait for it.
const changesAtOnce = 512

// applyAll copies what the guest reports of sessions, of all if ids is nil, into the
// records, which were read before. Of ids it returns which are reported.
func (f *follower) applyAll(ctx context.Context, g guestapi.Guest, records []banger.Session, ids []banger.SessionID) (reported map[banger.SessionID]bool, err error) {
	reported = make(map[banger.SessionID]bool, len(ids))
	known := make(map[banger.SessionID]int64, len(records))
	for _, x := range records {
		known[x.ID] = x.Sequence
	}
	refused := 0
	for page, err := range g.Sessions(ctx, ids) {
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if ids != nil {
				reported[r.ID] = true
			}
		}
		strange, err := f.applyPage(ctx, known, page)
		if err != nil {
			return nil, err
		}
		refused += strange
	}
	if refused > 0 {
		f.log.Warn("guest reports sessions that have no record, or impossible changes", "vm", f.of.vm, "count", refused)
	}
	return reported, nil
}

// applyPage copies reports into the records, of which known has the sequences, and
// returns how many are invalid. What a record knows already costs no transaction.
func (f *follower) applyPage(ctx context.Context, known map[banger.SessionID]int64, reports []guestapi.GuestSession) (refused int, err error) {
	news := map[banger.SessionID]guestapi.GuestSession{}
	for _, r := range reports {
		sequence, ok := known[r.ID]
		switch {
		case !ok:
			refused++
		case r.Sequence > sequence:
			news[r.ID] = r
		}
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(news)), changesAtOnce) {
		impossible := 0
		err := f.store.UpdateSessions(ctx, f.of.vm, ids, func(x *banger.Session) error {
			err := takeReport(x, f.of, news[x.ID])
			if isRefused(err) {
				impossible++
				return nil
			}
			return err
		})
		if err != nil {
			return refused, err
		}
		refused += impossible
	}
	return refused, nil
}

// GuestChanged implements guestapi.GuestHandler. What a guest reports too often is recorded
// later, and only the newest of it.
func (f *follower) GuestChanged(ctx context.Context, r guestapi.GuestSession) error {
	p := f.paces.of(f.of.vm)
	what, first, err := p.admit(f.of, r)
	if err != nil {
		return err
	}
	if first {
		f.tasks.work.Go(func() { f.recordLate(f.tasks.ctx, p) })
	}
	switch what {
	case recordLater:
		return nil
	case recordAwait:
		if err := p.tokens.Await(ctx, 1); err != nil {
			return err
		}
	}
	return f.record(ctx, f.of, r)
}

// record copies a report into its record, unless the report is invalid or of an epoch that
// the VM has left.
func (f *follower) record(ctx context.Context, of branch, r guestapi.GuestSession) error {
	err := f.recorder.apply(ctx, of, r)
	if isRefused(err) {
		// A guest can say this as often as it likes.
		f.log.Debug("guest reports an impossible change", "vm", f.of.vm, "session", r.ID, "cause", err)
		return nil
	}
	return err
}

// GuestDown implements guestapi.GuestHandler: nothing is said of sessions that cannot
// be seen.
func (f *follower) GuestDown(context.Context, error) error { return nil }

// isRefused reports whether a report was refused because it is invalid.
func isRefused(err error) bool {
	code := banger.CodeOf(err)
	return code == banger.CodeNotFound || code == banger.CodeState
}

// settle decides what became of a session that the guest has no directory of.
func (f *follower) settle(ctx context.Context, g guestapi.Guest, x banger.Session) error {
	if x.Status != banger.StatusStarting {
		f.setBoot(f.of.vm, boot{}) // should it be there again, that corrects its record
		return f.recorder.recordMissing(ctx, f.of, x.ID)
	}
	report, err := g.Abandon(ctx, x.ID)
	if err != nil {
		return err
	}
	return f.recorder.apply(ctx, f.of, report)
}
