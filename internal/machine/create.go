package machine

import (
	"context"
	"errors"
	"fmt"
	"os"

	"banger"
	"banger/internal/process"
)

// CreateVM implements banger.VMService. The record comes last: a VM that is
// listed has all its files.
func (s *Service) CreateVM(ctx context.Context, r banger.VMRequest) (banger.VM, error) {
	r = r.WithDefaults()
	if err := r.Validate(); err != nil {
		return banger.VM{}, err
	}
	image, err := s.Images.GetImage(ctx, r.Image)
	if err != nil {
		if e, ok := errors.AsType[*banger.Error](err); ok && e.Code == banger.CodeNotFound {
			err = e.WithHint("build it first with: banger image build %s", r.Image)
		}
		return banger.VM{}, err
	}
	if _, err := s.Images.Files(ctx, image.ID); err != nil {
		return banger.VM{}, err
	}
	if err := s.checkName(ctx, r.Name); err != nil {
		return banger.VM{}, err
	}
	if err := s.checkRoom("create", r.Name); err != nil {
		return banger.VM{}, err
	}
	hostBoot, err := process.BootID()
	if err != nil {
		return banger.VM{}, err
	}
	vm := banger.VM{
		ID: banger.NewVMID(), Name: r.Name, ImageID: image.ID, ImageName: image.Name, Driver: s.Driver.Name(),
		CPUs: r.CPUs, MemoryMiB: r.MemoryMiB, SystemDiskMiB: r.SystemDiskMiB, WorkDiskMiB: r.WorkDiskMiB,
		State: banger.VMStopped, CreatedAt: now(), Autostart: r.Autostart, HostBootID: hostBoot,
	}
	if vm.Name == "" {
		vm.Name = "vm-" + string(vm.ID[:6])
	}
	if err := s.makeFiles(ctx, vm); err != nil {
		return banger.VM{}, errors.Join(fmt.Errorf("cannot create VM %s: %w", vm.Name, err), s.removeFiles(vm.ID))
	}
	stored, err := s.Store.CreateVM(ctx, vm)
	if err != nil {
		return banger.VM{}, errors.Join(err, s.removeFiles(vm.ID))
	}
	return stored, nil
}

// checkName refuses a taken name before disks are made; the store is the judge.
func (s *Service) checkName(ctx context.Context, name string) error {
	vms, err := s.Store.ListVMs(ctx)
	if err != nil {
		return err
	}
	for _, vm := range vms {
		if vm.Name == name {
			return banger.Errorf(banger.CodeExists, "cannot create VM %s: there is one of that name", name).
				WithHint("choose another name, or delete it with: banger vm delete %s", name)
		}
	}
	return nil
}

// DeleteVM implements banger.VMService.
func (s *Service) DeleteVM(ctx context.Context, ref string, force bool) error {
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return err
	}
	if vm.Driver == banger.DriverRemote {
		return s.forget(ctx, vm, force)
	}
	for {
		deleted, err := s.deleteStopped(ctx, vm.ID)
		if deleted || err != nil {
			return err
		}
		if !force {
			return banger.Errorf(banger.CodeState, "cannot delete VM %s: its machine runs", vm.Name).
				WithHint("stop it first with: banger vm stop %s, or delete it with --force", vm.Name)
		}
		if _, err := s.StopVM(ctx, string(vm.ID), 0); err != nil {
			return err
		}
	}
}

// deleteStopped deletes a VM unless a machine of it may run. The record goes
// first: whatever of the files a crash leaves behind belongs to no VM, and the
// next daemon removes it.
func (s *Service) deleteStopped(ctx context.Context, id banger.VMID) (deleted bool, err error) {
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return false, err
	}
	defer unlock()
	vm, err := s.Store.GetVM(ctx, id)
	if err != nil || s.run(id) != nil || s.mayRun(ctx, vm) {
		return false, err
	}
	if err := s.Store.DeleteVM(ctx, id); err != nil {
		return false, err
	}
	return true, s.removeFiles(id)
}

// removeFiles removes everything of a VM that lies on the host.
func (s *Service) removeFiles(id banger.VMID) error {
	return os.RemoveAll(s.Paths.VM(id))
}

// sweep removes the folders of VMs that have no record.
func (s *Service) sweep(vms []banger.VM) error {
	known := map[string]bool{}
	for _, vm := range vms {
		known[string(vm.ID)] = true
	}
	entries, err := os.ReadDir(s.Paths.VMs())
	if err != nil {
		return fmt.Errorf("cannot list VM folders: %w", err)
	}
	for _, e := range entries {
		if banger.ValidID(e.Name()) && !known[e.Name()] {
			s.Log.Warn("removing the folder of a VM that has no record", "vm", e.Name())
			if err := s.removeFiles(banger.VMID(e.Name())); err != nil {
				s.Log.Error("cannot remove the folder of a VM that has no record", "vm", e.Name(), "cause", err)
			}
		}
	}
	return nil
}
