package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"banger"
	"banger/internal/keylock"
)

// DeleteVM implements banger.VMService.
func (s *VMs) DeleteVM(ctx context.Context, ref string, force bool) error {
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return err
	}
	if s.drivers.Standing(vm) {
		return s.remotes.forget(ctx, vm, force)
	}
	for {
		deleted, err := s.deleter.deleteStopped(ctx, vm.ID)
		if deleted || err != nil {
			return err
		}
		if !force {
			return banger.Errorf(banger.CodeState, "cannot delete VM %s: its machine runs", vm.Name).
				WithHint("stop it first with: banger vm stop %s, or delete it with --force", vm.Name)
		}
		if _, err := s.StopVM(ctx, string(vm.ID), banger.VMStopRequest{Kill: true}); err != nil {
			return err
		}
	}
}

// deleter deletes VMs that have no machine.
type deleter struct {
	locks   *keylock.Locks[banger.VMID]
	store   Store
	homes   *homes
	runs    *runs
	adopter *adopter
	log     *slog.Logger
}

// deleteStopped deletes a VM unless a machine of it may run. Its directory loses its
// name, then the record goes, then the rest: whatever a crash leaves behind is either
// a whole VM or removed by the next daemon.
func (s *deleter) deleteStopped(ctx context.Context, id banger.VMID) (deleted bool, err error) {
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return false, err
	}
	defer unlock()
	vm, err := s.store.GetVM(ctx, id)
	if err != nil || s.runs.of(id) != nil || s.adopter.mayRun(ctx, vm) {
		return false, err
	}
	if err := s.homes.beginDeletion(id); err != nil {
		return false, fmt.Errorf("cannot delete VM %s: %w", vm.Name, err)
	}
	if err := s.store.DeleteVM(context.WithoutCancel(ctx), id); err != nil {
		return false, errors.Join(err, s.homes.undoDeletion(id))
	}
	return true, s.homes.endDeletion(id)
}

// endDeletions finishes those that the last daemon began; one whose record is still
// there had not been decided.
func (s *deleter) endDeletions(ctx context.Context) {
	left, err := filepath.Glob(filepath.Join(s.homes.paths.VMs(), deletedPrefix+"*"))
	for _, dir := range left {
		id := banger.VMID(strings.TrimPrefix(filepath.Base(dir), deletedPrefix))
		_, known := s.store.GetVM(ctx, id)
		switch {
		case !banger.ValidID(string(id)):
		case known == nil:
			err = errors.Join(err, s.homes.undoDeletion(id))
		case banger.CodeOf(known) != banger.CodeNotFound:
			err = errors.Join(err, known)
		default:
			err = errors.Join(err, s.homes.endDeletion(id))
		}
	}
	if err != nil {
		s.log.Error("cannot finish the deletion of VMs", "cause", err)
	}
}
