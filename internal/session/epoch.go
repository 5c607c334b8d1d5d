package session

import (
	"context"
	"errors"
	"slices"

	"banger"
	"banger/internal/lineage"
	"banger/sessionstream"
)

// epochs decides whether positions that clients know are those of the branch that a VM is
// in. A guest and its shims know of no epochs: all that they have is of their own branch. So
// who has reached one asks here before a position is used, and after it was reached: an
// epoch is recorded before the machine that begins it can be reached.
type epochs struct {
	store Store
	vms   VMs
}

// errMoved ends what was begun in an epoch that its VM has left. Who counts positions asks
// with them once more.
var errMoved = &banger.Error{Code: banger.CodeStaleEpoch, Message: "the VM has moved to another epoch"}

// of returns the VM that a session is of.
func (e *epochs) of(ctx context.Context, id banger.VMID) (banger.VM, error) {
	vms, err := e.vms.ListVMs(ctx) // which mostly are in memory
	if err != nil {
		return banger.VM{}, err
	}
	i := slices.IndexFunc(vms, func(vm banger.VM) bool { return vm.ID == id })
	if i < 0 {
		return banger.VM{}, banger.Errorf(banger.CodeNotFound, "cannot find VM %s: no such VM", id)
	}
	return vms[i], nil
}

// stillIn fails with errMoved if the VM of a session has left an epoch.
func (e *epochs) stillIn(ctx context.Context, x banger.Session, epoch banger.Epoch) error {
	vm, err := e.of(ctx, x.VMID)
	if err == nil && vm.Epoch != epoch {
		return errMoved
	}
	return err
}

// check refuses a position of an epoch that does not mean the same bytes in the one that
// the session's VM is in. No epoch is the one in which the session began.
func (e *epochs) check(ctx context.Context, x banger.Session, of banger.Epoch, at lineage.Point) (held, error) {
	vm, err := e.of(ctx, x.VMID)
	if err != nil {
		return held{}, err
	}
	if of == vm.Epoch || of == "" && vm.ParentEpoch == "" {
		return held{session: x, epoch: vm.Epoch}, nil
	}
	own, other, err := e.store.Lineage(ctx, x.Key(), of)
	if err != nil {
		return held{}, err
	}
	if parted := own.Check(other, at); parted != nil {
		return held{}, staleEpoch(x, of, *parted)
	}
	return held{session: x, epoch: own.Epoch(), of: of, parted: own.Parting(other)}, nil
}

// held is what a client whose position is valid has of a session.
type held struct {
	session banger.Session
	epoch   banger.Epoch // that of the VM
	// of is the epoch of the client's position, and parted where the two parted; nil if
	// they are the same.
	of     banger.Epoch
	parted *banger.Parting
}

// past reports whether a position in stdin is past the point up to which the client's stdin
// is that of the session: what the session has accepted behind it is not the client's.
func (h held) past(stdin int64) bool { return h.parted != nil && stdin > h.parted.Stdin }

// stale is the error for a client that has more of stdin than is common.
func (h held) stale() error { return staleEpoch(h.session, h.of, *h.parted) }

// staleEpoch is the error of a position of another branch.
func staleEpoch(x banger.Session, of banger.Epoch, at banger.Parting) error {
	epoch := "without an epoch"
	if of != "" {
		epoch = "of epoch " + string(of[:min(len(of), sessionstream.MaxIDBytes)])
	}
	err := banger.Errorf(banger.CodeStaleEpoch, "cannot use a position %s in session %q: its VM is in epoch %s, which has the same bytes only up to stdout %d, stderr %d, stdin %d",
		epoch, x.Name, at.Epoch, at.Stdout, at.Stderr, at.Stdin).
		WithHint("the VM was forked or an older snapshot was restored: read what it has from there, with epoch %s", at.Epoch)
	err.Parted = &at
	return err
}

// checkCursor is check for a position in the output.
func (e *epochs) checkCursor(ctx context.Context, x banger.Session, at banger.LogCursor) (banger.Epoch, error) {
	if at == (banger.LogCursor{}) { // which is common to all
		vm, err := e.of(ctx, x.VMID)
		return vm.Epoch, err
	}
	h, err := e.check(ctx, x, at.Epoch, lineage.Point{Stdout: at.Stdout, Stderr: at.Stderr})
	return h.epoch, err
}

// admit checks the positions of an attach and takes what a shim does not know from it. It
// returns the epoch in which the connection is, and what the client has of stdin.
func (e *epochs) admit(ctx context.Context, x banger.Session, a *sessionstream.Attach) (held, error) {
	vm, err := e.of(ctx, x.VMID)
	if err != nil {
		return held{}, err
	}
	claimed := banger.Epoch("") // as the client says
	if a.From != nil {
		claimed = a.From.Epoch
		if _, err := e.checkCursor(ctx, x, *a.From); err != nil {
			return held{}, err
		}
		a.From = &banger.LogCursor{Stdout: a.From.Stdout, Stderr: a.From.Stderr}
	}
	h := held{session: x, epoch: vm.Epoch}
	switch {
	case a.Stdin != nil:
		h, err = e.check(ctx, x, a.Stdin.Epoch, lineage.Point{Stdin: a.Stdin.Offset})
	case a.Resume && a.Role == sessionstream.RoleWriter:
		// It does not say how much it knows to be accepted, which may be anything.
		_, err = e.check(ctx, x, claimed, anyStdin)
	}
	a.Stdin = nil
	if err != nil {
		return held{}, err
	}
	return h, e.stillIn(ctx, x, vm.Epoch)
}

// anyStdin is past every parting in stdin.
var anyStdin = lineage.Point{Stdin: 1<<63 - 1}

// isMoved reports whether something ended because a VM has moved to another epoch.
func isMoved(err error) bool { return errors.Is(err, errMoved) }
