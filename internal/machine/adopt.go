package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"banger"
)

// Adopt takes over the machines that an earlier daemon started, records the end
// of those that run no more, and removes what a crash left behind. It does not
// wait for guests. A machine that cannot be adopted makes its VM a failed one and
// hinders nobody else.
func (s *Service) Adopt(ctx context.Context) error {
	vms, err := s.Store.ListVMs(ctx)
	if err != nil {
		return err
	}
	if err := s.sweep(vms); err != nil {
		return err
	}
	disksUntil := time.Now().Add(adoptDisksTimeout)
	for _, vm := range vms {
		if err := s.adoptAtStart(ctx, vm, time.Until(disksUntil)); err != nil {
			return fmt.Errorf("cannot record the state of VM %s: %w", vm.Name, err)
		}
	}
	return nil
}

// adoptDisksTimeout bounds the reading of all disks of machines that are found to
// have ended: clients wait meanwhile for the daemon to serve.
const adoptDisksTimeout = 15 * time.Second

// adoptAtStart fails only if the store does. limit bounds the use of the disk.
func (s *Service) adoptAtStart(ctx context.Context, vm banger.VM, limit time.Duration) error {
	if vm.Machine == nil && (vm.State == banger.VMStopped || vm.State == banger.VMFailed) {
		// Its sessions have ended too, but the last daemon may have died between.
		return s.endSessions(ctx, vm.ID, banger.EndedByVMLost, time.Time{}, limit)
	}
	_, cause := s.adopt(ctx, vm, limit)
	if cause == nil {
		return nil
	}
	s.Log.Error("cannot adopt machine", "vm", vm.ID, "cause", cause)
	_, err := s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.State, vm.LastError = banger.VMFailed, "cannot adopt the machine, which may still run: "+cause.Error()
		return nil
	})
	return err
}

// findRun returns the run of a VM, nil if it has none. A machine that could not
// be adopted when the daemon started is tried again: while it may run, no second
// one is started, and nothing of it is removed. The caller holds the VM's lock.
func (s *Service) findRun(ctx context.Context, id banger.VMID) (*run, error) {
	if r := s.run(id); r != nil {
		return r, nil
	}
	vm, err := s.Store.GetVM(ctx, id)
	if err != nil || vm.Machine == nil {
		return nil, err
	}
	return s.adopt(ctx, vm, diskTimeout)
}

// adopt brings one VM's record in line with its machine and returns its run, nil
// if the machine has ended; then limit bounds the use of its disk.
func (s *Service) adopt(ctx context.Context, vm banger.VM, limit time.Duration) (*run, error) {
	ref, err := s.machineRef(vm)
	if err != nil {
		return nil, err
	}
	var m banger.Machine
	if ref != nil {
		m, err = s.driver(vm).Adopt(ctx, ref)
	}
	switch {
	case ref == nil || errors.Is(err, banger.ErrMachineGone):
		return nil, s.recordLost(ctx, vm.ID, "the machine ended while no daemon was running", limit)
	case banger.CodeOf(err) == banger.CodeCorrupt:
		// Nothing will ever find it; the driver's locks protect its disks.
		return nil, s.recordLost(ctx, vm.ID, err.Error(), limit)
	case err != nil:
		return nil, errors.Join(err, s.keepRef(ctx, vm.ID, ref))
	}
	var hostKey string
	if vm.Driver != banger.DriverRemote {
		_, hostKey, err = s.readHostKey(vm.ID)
	}
	if err != nil {
		// Without it there is no link, but the machine can be stopped.
		s.Log.Error("cannot reach the guest of a machine", "vm", vm.ID, "cause", err)
	}
	if err := s.storeMachine(ctx, vm.ID, m); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	s.Log.Info("adopted machine", "vm", vm.ID, "pid", m.Info().PID)
	r := s.beginRun(vm, m, hostKey)
	if vm.State == banger.VMStopping {
		s.stops.Go(func() { _ = s.endMachine(r, adoptedStopGrace) }) // it logs its failure
	}
	return r, nil
}

// adoptedStopGrace is the grace time of a stop whose own was not recorded. The
// guest may have been asked already or not; killed at once, it would lose what it
// has not written to its disk.
const adoptedStopGrace = 30 * time.Second

// machineRef returns how to adopt the machine of a VM, nil if there is none. If
// the daemon died between starting it and storing that, the driver's own note tells.
func (s *Service) machineRef(vm banger.VM) (json.RawMessage, error) {
	if vm.Machine != nil {
		return vm.Machine, nil
	}
	note, err := os.ReadFile(filepath.Join(s.Paths.VM(vm.ID), banger.MachineRefName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return note, err
}

// keepRef makes sure that a machine which may run is not forgotten.
func (s *Service) keepRef(ctx context.Context, id banger.VMID, ref json.RawMessage) error {
	_, err := s.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.Machine = ref
		return nil
	})
	return err
}

// recordLost records that a machine ended unseen, and why. Its sessions come
// first, so that a crash in between leaves what the next daemon records again.
func (s *Service) recordLost(ctx context.Context, id banger.VMID, why string, limit time.Duration) error {
	vm, err := s.Store.GetVM(ctx, id)
	if err != nil {
		return err
	}
	cause := banger.EndedByVMLost
	if vm.State == banger.VMStopping {
		cause = banger.EndedByVMStopped
	}
	if err := s.endSessions(ctx, id, cause, time.Time{}, limit); err != nil {
		return err
	}
	_, err = s.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		forgetMachine(vm)
		if vm.State == banger.VMStopping {
			vm.State = banger.VMStopped
			return nil
		}
		vm.State, vm.LastError = banger.VMFailed, why
		return nil
	})
	return err
}

// forgetMachine takes from a VM's record what only a running machine has.
func forgetMachine(vm *banger.VM) {
	vm.Machine, vm.SSHAddress, vm.BootID, vm.Accelerator, vm.StoppedAt = nil, "", "", "", now()
}
