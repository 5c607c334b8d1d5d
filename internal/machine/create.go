package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"banger"
	"banger/internal/files"
	"banger/internal/process"
	"banger/internal/vmm"
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
	driver, err := s.maker()
	if err != nil {
		return banger.VM{}, err
	}
	vm := banger.VM{
		ID: banger.NewVMID(), Name: r.Name, ImageID: image.ID, ImageName: image.Name,
		Driver: driver.Name(), Capabilities: vmm.Capabilities(driver),
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

// maker returns the driver of new VMs.
func (s *Service) maker() (vmm.Starter, error) {
	all := s.Drivers.Starters()
	if len(all) == 0 {
		return nil, banger.Errorf(banger.CodeMissing, "cannot create VM: this daemon has no driver that makes machines")
	}
	return all[0], nil
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
	if s.Drivers.Standing(vm) {
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
		if _, err := s.StopVM(ctx, string(vm.ID), banger.VMStopRequest{Kill: true}); err != nil {
			return err
		}
	}
}

// deleteStopped deletes a VM unless a machine of it may run. Its directory loses its
// name, then the record goes, then the rest: whatever a crash leaves behind is either
// a whole VM or removed by the next daemon.
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
	if err := s.beginDeletion(id); err != nil {
		return false, fmt.Errorf("cannot delete VM %s: %w", vm.Name, err)
	}
	if err := s.Store.DeleteVM(context.WithoutCancel(ctx), id); err != nil {
		return false, errors.Join(err, s.undoDeletion(id))
	}
	return true, s.endDeletion(id)
}

// removeFiles removes everything of a VM that lies on the host, all or, should the
// process die meanwhile, what is left of it at the next start.
func (s *Service) removeFiles(id banger.VMID) error {
	return errors.Join(s.beginDeletion(id), s.endDeletion(id))
}

// deletedPrefix begins the name of the directory of a VM that is being deleted.
const deletedPrefix = ".deleted-"

func (s *Service) deletedDir(id banger.VMID) string {
	return filepath.Join(s.Paths.VMs(), deletedPrefix+string(id))
}

// beginDeletion takes its name from the directory of a VM, by which the VM would be
// known again.
func (s *Service) beginDeletion(id banger.VMID) error {
	err := os.Rename(s.Paths.VM(id), s.deletedDir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return files.SyncDir(s.Paths.VMs())
}

// undoDeletion gives the directory its name again.
func (s *Service) undoDeletion(id banger.VMID) error {
	err := os.Rename(s.deletedDir(id), s.Paths.VM(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Service) endDeletion(id banger.VMID) error {
	return os.RemoveAll(s.deletedDir(id))
}

// endDeletions finishes those that the last daemon began; one whose record is still
// there had not been decided.
func (s *Service) endDeletions(ctx context.Context) {
	left, err := filepath.Glob(filepath.Join(s.Paths.VMs(), deletedPrefix+"*"))
	for _, dir := range left {
		id := banger.VMID(strings.TrimPrefix(filepath.Base(dir), deletedPrefix))
		_, known := s.Store.GetVM(ctx, id)
		switch {
		case !banger.ValidID(string(id)):
		case known == nil:
			err = errors.Join(err, s.undoDeletion(id))
		case banger.CodeOf(known) != banger.CodeNotFound:
			err = errors.Join(err, known)
		default:
			err = errors.Join(err, s.endDeletion(id))
		}
	}
	if err != nil {
		s.Log.Error("cannot finish the deletion of VMs", "cause", err)
	}
}
