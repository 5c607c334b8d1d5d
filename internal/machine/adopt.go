package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"banger"
)

// Adopt takes over the machines that an earlier daemon started, records the end
// of those that run no more, and removes what a crash left behind. It does not
// wait for guests.
func (s *Service) Adopt(ctx context.Context) error {
	vms, err := s.Store.ListVMs(ctx)
	if err != nil {
		return err
	}
	if err := s.sweep(vms); err != nil {
		return err
	}
	for _, vm := range vms {
		if vm.State == banger.VMStopped || vm.State == banger.VMFailed && vm.Machine == nil {
			continue
		}
		if err := s.adopt(ctx, vm); err != nil {
			return fmt.Errorf("cannot adopt VM %s: %w", vm.Name, err)
		}
	}
	return nil
}

// adopt brings one VM's record in line with its machine.
func (s *Service) adopt(ctx context.Context, vm banger.VM) error {
	m, err := s.findMachine(ctx, vm)
	if errors.Is(err, banger.ErrMachineGone) {
		return s.recordLost(ctx, vm)
	}
	if err != nil {
		return err
	}
	_, hostKey, err := s.readHostKey(vm.ID)
	if err != nil {
		return errors.Join(err, m.Close())
	}
	if err := s.storeMachine(ctx, vm.ID, m); err != nil {
		return errors.Join(err, m.Close())
	}
	s.Log.Info("adopted machine", "vm", vm.ID, "pid", m.Info().PID)
	r := s.beginRun(vm.ID, m, hostKey)
	if vm.State == banger.VMStopping {
		// The stop that the last daemon began is carried out.
		return r.machine.Kill(ctx)
	}
	return nil
}

// findMachine asks the driver for the machine of a VM. If the daemon died
// between starting it and storing how to adopt it, the driver's own note tells.
func (s *Service) findMachine(ctx context.Context, vm banger.VM) (banger.Machine, error) {
	ref := vm.Machine
	if ref == nil {
		note, err := os.ReadFile(filepath.Join(s.Paths.VM(vm.ID), banger.MachineRefName))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, banger.ErrMachineGone
		}
		if err != nil {
			return nil, err
		}
		ref = note
	}
	return s.Driver.Adopt(ctx, ref)
}

// recordLost records that a machine ended while no daemon ran.
func (s *Service) recordLost(ctx context.Context, vm banger.VM) error {
	cause := banger.EndedByVMLost
	_, err := s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.Machine, vm.SSHAddress, vm.BootID, vm.Accelerator, vm.StoppedAt = nil, "", "", "", now()
		if vm.State == banger.VMStopping {
			vm.State, cause = banger.VMStopped, banger.EndedByVMStopped
			return nil
		}
		vm.State = banger.VMFailed
		vm.LastError = "the machine ended while no daemon was running"
		return nil
	})
	if err != nil {
		return err
	}
	return s.Sessions.MachineEnded(ctx, vm.ID, cause)
}
