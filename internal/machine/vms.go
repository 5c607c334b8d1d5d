package machine

import (
	"context"
	"time"

	"banger"
	"banger/internal/process"
	"banger/internal/records"
	"banger/internal/vmm"
)

// VMs implements banger.VMService.
type VMs struct {
	store         Store
	drivers       vmm.Drivers
	homes         *homes
	runs          *runs
	creator       *creator
	starter       *starter
	stopper       *stopper
	deleter       *deleter
	remotes       *Remotes
	clientKeyFile string
}

// ListVMs implements banger.VMService.
func (s *VMs) ListVMs(ctx context.Context) ([]banger.VM, error) { return s.store.ListVMs(ctx) }

// GetVM implements banger.VMService.
func (s *VMs) GetVM(ctx context.Context, ref string) (banger.VM, error) {
	return resolve(ctx, s.store, ref)
}

// CreateVM implements banger.VMService.
func (s *VMs) CreateVM(ctx context.Context, r banger.VMRequest) (banger.VM, error) {
	return s.creator.create(ctx, r)
}

// SetVM implements banger.VMService.
func (s *VMs) SetVM(ctx context.Context, ref string, u banger.VMUpdate) (banger.VM, error) {
	vm, err := s.GetVM(ctx, ref)
	if err != nil || u.Autostart == nil {
		return vm, err
	}
	if err := s.drivers.Require(vm, banger.CanPower, "set the autostart of"); err != nil {
		return banger.VM{}, err
	}
	hostBoot, err := process.BootID()
	if err != nil {
		return banger.VM{}, err
	}
	return s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		if vm.Autostart != *u.Autostart {
			vm.Autostart, vm.HostBootID = *u.Autostart, hostBoot
		}
		return nil
	})
}

// RenameVM implements banger.VMService. The store judges whether the name is free.
func (s *VMs) RenameVM(ctx context.Context, ref string, r banger.VMRename) (banger.VM, error) {
	if err := r.Validate(); err != nil {
		return banger.VM{}, err
	}
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return banger.VM{}, err
	}
	return s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.Name = r.Name
		return nil
	})
}

// resolve returns the VM that a ref means.
func resolve(ctx context.Context, store Store, ref string) (banger.VM, error) {
	vms, err := store.ListVMs(ctx)
	if err != nil {
		return banger.VM{}, err
	}
	return records.Resolve("vm", ref, vms)
}

// now is the time of a record.
func now() time.Time { return time.Now().UTC() }
