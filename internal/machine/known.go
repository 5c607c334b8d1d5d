package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"banger"
	"banger/internal/vmm"
)

// recovery finds out which VMs there are.
type recovery struct {
	store    Store
	drivers  vmm.Drivers
	homes    *homes
	files    *vmFiles
	trash    *Trash
	adopter  *adopter
	deleter  *deleter
	restored bool // the records may be older than what they are of
	log      *slog.Logger
}

// run brings the records in line with the directories of VMs. A VM without a
// record is known again from its directory; what cannot be one goes to the trash. A
// record without a directory says so. It fails only if the store does.
func (s *recovery) run(ctx context.Context) error {
	s.deleter.endDeletions(ctx)
	vms, err := s.store.ListVMs(ctx)
	if err != nil {
		return err
	}
	known := map[banger.VMID]bool{}
	for _, vm := range vms {
		known[vm.ID] = true
		if err := s.matchDirectory(ctx, vm); err != nil {
			return fmt.Errorf("cannot record the state of VM %s: %w", vm.Name, err)
		}
	}
	entries, err := os.ReadDir(s.homes.paths.VMs())
	if err != nil {
		return fmt.Errorf("cannot list VM directories: %w", err)
	}
	for _, e := range entries {
		id := banger.VMID(e.Name())
		if !banger.ValidID(e.Name()) || known[id] {
			continue
		}
		if err := s.meet(ctx, id); err != nil {
			return fmt.Errorf("cannot record VM %s again: %w", id, err)
		}
	}
	return nil
}

// matchDirectory brings the record of one VM in line with its directory.
func (s *recovery) matchDirectory(ctx context.Context, vm banger.VM) error {
	_, err := os.Stat(s.homes.dir(vm.ID))
	gone := errors.Is(err, fs.ErrNotExist)
	if gone && (!s.drivers.Standing(vm) || s.restored) {
		return s.recordGone(ctx, vm)
	}
	if s.restored {
		if err := s.matchEpoch(ctx, vm); err != nil {
			return err
		}
		if vm, err = s.store.GetVM(ctx, vm.ID); err != nil {
			return err
		}
	}
	if err := s.files.write(vm); err != nil {
		s.log.Error("cannot write down what a VM is", "vm", vm.ID, "cause", err)
	}
	if !s.restored {
		return nil
	}
	if _, err := s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.SessionsUnknown = true
		return nil
	}); err != nil {
		return err
	}
	return s.matchMachine(ctx, vm)
}

// matchEpoch has an older record name the epoch that its VM is in. Where that parted from
// others is not known any more, and what the record has of sessions is of another epoch: they
// are taken in again.
func (s *recovery) matchEpoch(ctx context.Context, vm banger.VM) error {
	now, err := s.files.read(vm.ID)
	if err != nil || now.Epoch == "" || now.Epoch == vm.Epoch || now.ParentEpoch == "" {
		return nil // without a file that makes sense, the record is all that there is
	}
	_, err = s.store.BeginEpoch(ctx, banger.VM{ID: vm.ID, Epoch: now.Epoch, ParentEpoch: now.ParentEpoch}, nil)
	if banger.CodeOf(err) == banger.CodeExists {
		return nil // the record is newer
	}
	return err
}

// goneText is why a VM without a directory has failed.
const goneText = "its directory is gone, and with it its disks: it was deleted after this record was copied, or moved away"

// recordGone records that nothing is left of a VM.
func (s *recovery) recordGone(ctx context.Context, vm banger.VM) error {
	if vm.State == banger.VMFailed && vm.Machine == nil && vm.LastError == goneText {
		return nil
	}
	s.log.Error("the directory of a VM is gone", "vm", vm.ID, "name", vm.Name)
	if err := s.adopter.recordLost(ctx, vm.ID, goneText); err != nil {
		return err
	}
	_, err := s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.State, vm.LastError = banger.VMFailed, goneText
		return nil
	})
	return err
}

// matchMachine has an older record name the machine that runs now.
func (s *recovery) matchMachine(ctx context.Context, vm banger.VM) error {
	ref, running := s.adopter.runningMachine(ctx, vm)
	if !running || string(ref) == string(vm.Machine) {
		return nil
	}
	if vm.State == banger.VMStopping { // what it says is of another machine
		if _, err := s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
			vm.State = banger.VMStopped
			return nil
		}); err != nil {
			return err
		}
	}
	_, err := s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.Machine = ref
		if vm.State == banger.VMStopped || vm.State == banger.VMFailed {
			vm.State, vm.LastError = banger.VMStarting, ""
		}
		return nil
	})
	return err
}

// meet deals with a directory of which there is no record.
func (s *recovery) meet(ctx context.Context, id banger.VMID) error {
	vm, err := s.files.read(id)
	if err == nil {
		return s.restore(ctx, vm)
	}
	if banger.CodeOf(err) == banger.CodeMismatch {
		s.log.Error("a directory of a VM is left as it is", "vm", id, "cause", err)
		return nil
	}
	why := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		why = fmt.Sprintf("it has no %s: its VM was never complete, or was made by a banger that wrote none", vmFileName)
	}
	if err := s.trash.put(ctx, id, why); err != nil {
		s.log.Error("a directory that no VM is known by is left as it is", "vm", id, "why", why, "cause", err)
	}
	return nil
}

// restore makes the record of a VM again.
func (s *recovery) restore(ctx context.Context, vm banger.VM) error {
	vm.State, vm.SessionsUnknown = banger.VMStopped, true
	vm.Capabilities = s.drivers.Capabilities(vm)
	if s.drivers.Standing(vm) {
		vm.State, vm.StartedAt = banger.VMRunning, now()
	} else if ref, running := s.adopter.runningMachine(ctx, vm); running {
		vm.State, vm.Machine, vm.StartedAt = banger.VMStarting, ref, now()
	} else if err := s.homes.checkParts(vm.ID); err != nil {
		vm.State, vm.LastError = banger.VMFailed, err.Error()
	}
	wanted := vm.Name
	if err := s.giveWay(ctx, &vm); err != nil {
		return err
	}
	restored, err := s.store.RestoreVM(ctx, vm)
	if err != nil {
		return err
	}
	s.log.Warn("a VM without a record is known again from its directory", "vm", vm.ID, "name", restored.Name, "named", wanted)
	if err := s.files.write(restored); err != nil {
		s.log.Error("cannot write down what a VM is", "vm", vm.ID, "cause", err)
	}
	return nil
}

// giveWay changes one of two names that are the same: that of a record of which
// nothing is left, else that of the VM that is to be restored.
func (s *recovery) giveWay(ctx context.Context, vm *banger.VM) error {
	vms, err := s.store.ListVMs(ctx)
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	var holder *banger.VM
	for i, other := range vms {
		taken[other.Name] = true
		if other.Name == vm.Name {
			holder = &vms[i]
		}
	}
	if holder == nil {
		return nil
	}
	if _, err := os.Stat(s.homes.dir(holder.ID)); !errors.Is(err, fs.ErrNotExist) {
		vm.Name = otherName(vm.Name, vm.ID, taken)
		return nil
	}
	_, err = s.store.UpdateVM(ctx, holder.ID, func(holder *banger.VM) error {
		holder.Name = otherName(holder.Name, holder.ID, taken)
		return nil
	})
	return err
}

// otherName returns a name that is not taken: with the beginning of an id, or all of it.
func otherName(name string, id banger.VMID, taken map[string]bool) string {
	const maxName, short = 63, 6
	suffix := "-" + string(id[:short])
	for {
		other := strings.TrimRight(name[:min(len(name), maxName-len(suffix))], "-") + suffix
		if !taken[other] || len(suffix) > short+1 {
			return other
		}
		suffix = "-" + string(id)
	}
}
