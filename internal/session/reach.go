package session

import (
	"context"
	"errors"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/records"
)

// The pauses of awaitGuest double from the shortest to the longest; after that the
// guest's answer is final.
const (
	minGuestPause = 10 * time.Millisecond
	maxGuestPause = 2 * time.Second
)

// unreachableAfter is how long a remote host may be silent before nobody waits for it
// who does not mean to: a link that broke is mostly made again at once.
const unreachableAfter = 10 * time.Second

// firstTry is how long a guest is waited for before the record of its VM is read: one whose
// link is up is there at once.
const firstTry = 50 * time.Millisecond

var errSilent = errors.New("the host is silent")

// reach asks guests.
type reach struct {
	guests Guests
	vms    VMs
}

// withGuest is awaitGuest for who will not wait for a remote host that is known not
// to answer, or a VM that is paused: that may take days.
func (r *reach) withGuest(ctx context.Context, id banger.VMID, f func(guestapi.Guest) error) error {
	for patience := firstTry; ; patience = unreachableAfter {
		bounded, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
		err := r.awaitGuest(bounded, id, f)
		silent := errors.Is(context.Cause(bounded), errSilent) && ctx.Err() == nil
		cancel()
		if !silent || banger.CodeOf(err) != banger.CodeUnavailable {
			return err
		}
		if err := r.checkReachable(ctx, id); err != nil {
			return err
		}
	}
}

// awaitKnown waits until the sessions of a VM whose records were lost are known again: they
// are taken in before the link to its guest counts as up. It fails with CodeUnavailable if
// they are not, so that nobody takes a session that is unknown for one that never was. do is what cannot be
// done without.
func (r *reach) awaitKnown(ctx context.Context, vm banger.VM, do string) error {
	bounded, cancel := context.WithTimeout(ctx, unreachableAfter)
	defer cancel()
	cause := r.withGuest(bounded, vm.ID, func(guestapi.Guest) error { return nil })
	now, err := r.vms.GetVM(ctx, vm.ID)
	if err != nil || !now.SessionsUnknown {
		return err
	}
	if cause == nil {
		cause = errors.New("they are being looked for")
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot %s: some sessions of VM %s are not known yet, because the store was lost or restored: %w", do, vm.Name, cause).
		WithHint("they are known again once its guest answers or its disk is read; see banger vm show %s", vm.Name)
}

// checkReachable fails for a VM that is paused, and for a remote host that has refused the
// login or been silent for some time.
func (r *reach) checkReachable(ctx context.Context, id banger.VMID) error {
	vm, err := r.vms.GetVM(ctx, id)
	if err == nil {
		err = records.CheckNotPaused(vm, "reach", "the guest")
	}
	if refused := r.guests.Refused(id); refused != nil && err == nil {
		return banger.Errorf(banger.CodeUnavailable, "cannot reach VM %s: its login was refused: %w", vm.Name, refused).
			WithHint("once that is fixed, run: banger vm unlock %s; until then it is retried once an hour", vm.Name)
	}
	if err != nil || vm.UnreachableSince.IsZero() || time.Since(vm.UnreachableSince) < unreachableAfter {
		return err
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot reach VM %s: it has not answered since %s: %s",
		vm.Name, vm.UnreachableSince.Format(time.RFC3339), vm.LastError).
		WithHint("its sessions keep running; see banger vm show %s", vm.Name)
}

// awaitGuest calls f with the guest of a running VM, again on the next link each
// time that one broke, until ctx ends. f must be safe to repeat. A guest that
// itself cannot do its part now, as while a shim is dying, is asked again for
// some seconds.
func (r *reach) awaitGuest(ctx context.Context, id banger.VMID, f func(guestapi.Guest) error) error {
	var last guestapi.Guest
	pause := minGuestPause
	for {
		guest, err := r.guests.Guest(ctx, id)
		if err != nil {
			return err
		}
		if guest != last {
			last, pause = guest, minGuestPause
		}
		err = f(guest)
		if banger.CodeOf(err) != banger.CodeUnavailable || ctx.Err() != nil || pause > maxGuestPause {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}
