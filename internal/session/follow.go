package session

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

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

	mu    sync.Mutex             // guards boots
	boots map[banger.VMID]string // ids; see follower.GuestUp
}

// Guest returns the handler of what one VM's guest reports, for one machine: reports are of
// the epoch that the VM is in when the guest comes up.
func (r *Reconciler) Guest(id banger.VMID) guestapi.GuestHandler {
	return &follower{Reconciler: r, vm: id}
}

// follower brings the records of one VM's sessions in line with its guest.
type follower struct {
	*Reconciler
	vm    banger.VMID
	epoch atomic.Value // banger.Epoch: that of the VM when the guest came up
}

// branch is where the guest's reports come from.
func (f *follower) branch() branch {
	epoch, _ := f.epoch.Load().(banger.Epoch)
	return branch{f.vm, epoch}
}

// GuestUp implements guestapi.GuestHandler. The first time in a boot of the guest it goes
// through all that is on the disk, which may correct what was presumed of sessions that
// have ended. Each time it asks about those that have not, and the guest's changes
// follow from there: what a reconnect costs is a matter of these, and not of how many have
// ended. A session that cannot be settled now does not keep the others from their guest.
func (f *follower) GuestUp(ctx context.Context, hello guestapi.GuestHello, g guestapi.Guest) error {
	vm, err := f.vms.GetVM(ctx, f.vm)
	if err != nil && banger.CodeOf(err) != banger.CodeNotFound { // without a VM there are no records to change
		return err
	}
	f.epoch.Store(vm.Epoch)
	sessions, err := f.store.ListSessions(ctx, f.vm)
	if err != nil {
		return err
	}
	f.paces.of(f.vm).begin(sessions)
	if f.bootOf(f.vm) != hello.BootID {
		if _, err := f.applyAll(ctx, g, sessions, nil); err != nil {
			return err
		}
		f.setBoot(f.vm, hello.BootID)
		if sessions, err = f.store.ListSessions(ctx, f.vm); err != nil {
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
			f.log.Error("cannot settle session", "vm", f.vm, "session", x.ID, "cause", err)
		}
	}
	f.keeper.lookNow(f.vm)
	return nil
}

// bootOf returns the boot of a VM's guest whose disk this process has gone through, "" if
// that has to be done again.
func (r *Reconciler) bootOf(vm banger.VMID) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.boots[vm]
}

func (r *Reconciler) setBoot(vm banger.VMID, boot string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.boots[vm] = boot
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
		f.log.Warn("guest reports sessions that have no record, or impossible changes", "vm", f.vm, "count", refused)
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
		err := f.store.UpdateSessions(ctx, f.vm, ids, func(x *banger.Session) error {
			err := takeReport(x, f.branch(), news[x.ID])
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
	p := f.paces.of(f.vm)
	what, first, err := p.admit(r)
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
	return f.record(ctx, r)
}

// record copies a report into its record, unless the report is invalid.
func (f *follower) record(ctx context.Context, r guestapi.GuestSession) error {
	err := f.recorder.apply(ctx, f.branch(), r)
	if isRefused(err) {
		// A guest can say this as often as it likes.
		f.log.Debug("guest reports an impossible change", "vm", f.vm, "session", r.ID, "cause", err)
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
		f.setBoot(f.vm, "") // should it be there again, that corrects its record
		return f.recorder.recordMissing(ctx, x.Key())
	}
	report, err := g.Abandon(ctx, x.ID)
	if err != nil {
		return err
	}
	return f.recorder.apply(ctx, f.branch(), report)
}
