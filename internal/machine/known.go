package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/vmm"
)

// knownAgain brings the records in line with the directories of VMs. A VM without a
// record is known again from its directory; what cannot be one goes to the trash. A
// record without a directory says so. It fails only if the store does.
func (s *Service) knownAgain(ctx context.Context) error {
	s.endDeletions(ctx)
	vms, err := s.Store.ListVMs(ctx)
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
	entries, err := os.ReadDir(s.Paths.VMs())
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
func (s *Service) matchDirectory(ctx context.Context, vm banger.VM) error {
	_, err := os.Stat(s.Paths.VM(vm.ID))
	gone := errors.Is(err, fs.ErrNotExist)
	if gone && (!s.Drivers.Standing(vm) || s.Restored) {
		return s.recordGone(ctx, vm)
	}
	if err := s.writeVMFile(vm); err != nil {
		s.Log.Error("cannot write down what a VM is", "vm", vm.ID, "cause", err)
	}
	if !s.Restored {
		return nil
	}
	if _, err := s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.SessionsUnknown = true
		return nil
	}); err != nil {
		return err
	}
	return s.matchMachine(ctx, vm)
}

// goneText is why a VM without a directory has failed.
const goneText = "its directory is gone, and with it its disks: it was deleted after this record was copied, or moved away"

// recordGone records that nothing is left of a VM.
func (s *Service) recordGone(ctx context.Context, vm banger.VM) error {
	if vm.State == banger.VMFailed && vm.Machine == nil && vm.LastError == goneText {
		return nil
	}
	s.Log.Error("the directory of a VM is gone", "vm", vm.ID, "name", vm.Name)
	if err := s.recordLost(ctx, vm.ID, goneText); err != nil {
		return err
	}
	_, err := s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.State, vm.LastError = banger.VMFailed, goneText
		return nil
	})
	return err
}

// matchMachine has an older record name the machine that runs now.
func (s *Service) matchMachine(ctx context.Context, vm banger.VM) error {
	ref, running := s.runningMachine(ctx, vm)
	if !running || string(ref) == string(vm.Machine) {
		return nil
	}
	if vm.State == banger.VMStopping { // what it says is of another machine
		if _, err := s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
			vm.State = banger.VMStopped
			return nil
		}); err != nil {
			return err
		}
	}
	_, err := s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.Machine = ref
		if vm.State == banger.VMStopped || vm.State == banger.VMFailed {
			vm.State, vm.LastError = banger.VMStarting, ""
		}
		return nil
	})
	return err
}

// runningMachine returns what the driver has noted in the directory of a VM, and
// whether a machine of that may run.
func (s *Service) runningMachine(ctx context.Context, vm banger.VM) (ref json.RawMessage, running bool) {
	vm.Machine = nil
	ref, err := s.machineRef(vm)
	if err != nil {
		return nil, true // it cannot be told
	}
	if ref == nil {
		return nil, false
	}
	m, err := s.adoptBy(ctx, vm, ref)
	if err == nil {
		_ = m.Close() // it is adopted for good when its record is there
	}
	gone := errors.Is(err, vmm.ErrMachineGone) || banger.CodeOf(err) == banger.CodeCorrupt
	return ref, !gone
}

// meet deals with a directory of which there is no record.
func (s *Service) meet(ctx context.Context, id banger.VMID) error {
	vm, err := s.readVMFile(id)
	if err == nil {
		return s.restore(ctx, vm)
	}
	if banger.CodeOf(err) == banger.CodeMismatch {
		s.Log.Error("a directory of a VM is left as it is", "vm", id, "cause", err)
		return nil
	}
	why := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		why = fmt.Sprintf("it has no %s: its VM was never complete, or was made by a banger that wrote none", vmFileName)
	}
	if err := s.trash(ctx, id, why); err != nil {
		s.Log.Error("a directory that no VM is known by is left as it is", "vm", id, "why", why, "cause", err)
	}
	return nil
}

// restore makes the record of a VM again.
func (s *Service) restore(ctx context.Context, vm banger.VM) error {
	vm.State, vm.SessionsUnknown = banger.VMStopped, true
	vm.Capabilities = s.Drivers.Capabilities(vm)
	if s.Drivers.Standing(vm) {
		vm.State, vm.StartedAt = banger.VMRunning, now()
	} else if ref, running := s.runningMachine(ctx, vm); running {
		vm.State, vm.Machine, vm.StartedAt = banger.VMStarting, ref, now()
	} else if err := s.checkParts(vm.ID); err != nil {
		vm.State, vm.LastError = banger.VMFailed, err.Error()
	}
	wanted := vm.Name
	if err := s.giveWay(ctx, &vm); err != nil {
		return err
	}
	restored, err := s.Store.RestoreVM(ctx, vm)
	if err != nil {
		return err
	}
	s.Log.Warn("a VM without a record is known again from its directory", "vm", vm.ID, "name", restored.Name, "named", wanted)
	if err := s.writeVMFile(restored); err != nil {
		s.Log.Error("cannot write down what a VM is", "vm", vm.ID, "cause", err)
	}
	return nil
}

// giveWay changes one of two names that are the same: that of a record of which
// nothing is left, else that of the VM that is to be restored.
func (s *Service) giveWay(ctx context.Context, vm *banger.VM) error {
	vms, err := s.Store.ListVMs(ctx)
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
	if _, err := os.Stat(s.Paths.VM(holder.ID)); !errors.Is(err, fs.ErrNotExist) {
		vm.Name = otherName(vm.Name, vm.ID, taken)
		return nil
	}
	_, err = s.Store.UpdateVM(ctx, holder.ID, func(holder *banger.VM) error {
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

// sessionsTaken records that all sessions of a VM are known.
func (s *Service) sessionsTaken(ctx context.Context, id banger.VMID) error {
	_, err := s.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.SessionsUnknown = false
		return nil
	})
	return err
}

// takeInFromDisk gives the sessions on the disk of a machine that has ended their
// records. What fails is tried again by the next start or daemon.
func (s *Service) takeInFromDisk(ctx context.Context, id banger.VMID, end vmm.MachineEnd) {
	vm, err := s.Store.GetVM(ctx, id)
	if err == nil && !vm.SessionsUnknown {
		return
	}
	if err == nil {
		err = s.Sessions.TakeInFromDisk(ctx, id, end)
	}
	if err == nil {
		err = s.sessionsTaken(ctx, id)
	}
	if err != nil {
		s.Log.Error("cannot give sessions on a disk their records", "vm", id, "cause", err)
	}
}

// takeInFromGuest does the same for a guest that is up.
func (s *Service) takeInFromGuest(ctx context.Context, id banger.VMID, g guestapi.Guest) error {
	vm, err := s.Store.GetVM(ctx, id)
	if err != nil || !vm.SessionsUnknown {
		return err
	}
	if err := s.Sessions.TakeIn(ctx, id, g, s.Drivers.Standing(vm)); err != nil {
		return err
	}
	return s.sessionsTaken(ctx, id)
}
