package machine

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/process"
)

// startsAtOnce is how many machines are started side by side after a boot of the host.
const startsAtOnce = 4

// SetVM implements banger.VMService.
func (s *Service) SetVM(ctx context.Context, ref string, u banger.VMUpdate) (banger.VM, error) {
	vm, err := s.GetVM(ctx, ref)
	if err != nil || u.Autostart == nil {
		return vm, err
	}
	if err := s.Drivers.Require(vm, banger.CanPower, "set the autostart of"); err != nil {
		return banger.VM{}, err
	}
	hostBoot, err := process.BootID()
	if err != nil {
		return banger.VM{}, err
	}
	return s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		if vm.Autostart != *u.Autostart {
			vm.Autostart, vm.HostBootID = *u.Autostart, hostBoot
		}
		return nil
	})
}

// Autostart begins to start the VMs that are to start with the host and that no daemon
// has started since its boot: once a boot, so that one which its user stops stays
// stopped. It returns at once and waits for no guest; Close ends it. A VM that cannot
// be started says so in its record and hinders no other.
func (s *Service) Autostart() {
	s.starts.Go(func() {
		if err := s.startWithHost(s.ctx); err != nil && s.ctx.Err() == nil {
			s.Log.Error("cannot start the VMs that start with the host", "cause", err)
		}
	})
}

func (s *Service) startWithHost(ctx context.Context) error {
	hostBoot, err := process.BootID()
	if err != nil {
		return err
	}
	vms, err := s.Store.ListVMs(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for _, vm := range vms {
		if vm.Autostart && vm.HostBootID != hostBoot {
			group.Go(func() error {
				s.autostart(ctx, vm, hostBoot)
				return nil
			})
		}
	}
	return group.Wait()
}

// autostart starts one machine. A start that failed is on record, but for one that did
// not even begin.
func (s *Service) autostart(ctx context.Context, vm banger.VM, hostBoot string) {
	_, err := s.startMachine(ctx, vm.ID)
	if err == nil || ctx.Err() != nil || banger.CodeOf(err) == banger.CodeNotFound {
		return // started, or the next daemon's, or deleted meanwhile
	}
	s.Log.Error("cannot start a VM that starts with the host", "vm", vm.ID, "cause", err)
	_, recordErr := s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		if vm.HostBootID != hostBoot {
			vm.LastError = "it did not start with the host: " + err.Error()
		}
		return nil
	})
	if recordErr != nil {
		s.Log.Error("cannot record a failed start", "vm", vm.ID, "cause", errors.Join(err, recordErr))
	}
}
