package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/imagename"
	"banger/internal/process"
	"banger/internal/vmm"
)

// creator makes VMs.
type creator struct {
	store   Store
	images  Images
	kernels kernels
	disks   Disks
	drivers vmm.Drivers
	homes   *homes
	files   *vmFiles
	room    room
}

// create makes a VM. The record comes last: a VM that is
// listed has all its files.
func (s *creator) create(ctx context.Context, r banger.VMRequest) (banger.VM, error) {
	r = r.WithDefaults()
	if err := r.Validate(); err != nil {
		return banger.VM{}, err
	}
	image, err := s.images.GetImage(ctx, r.Image)
	if err != nil {
		if e, ok := errors.AsType[*banger.Error](err); ok && e.Code == banger.CodeNotFound {
			err = e.WithHint("%s", imageHint(r.Image))
		}
		return banger.VM{}, err
	}
	files, err := s.images.Files(ctx, image.ID)
	if err != nil {
		return banger.VM{}, err
	}
	config := imageConfig(image)
	init, err := chooseInit(r.Init, image.Name, files, config)
	if err != nil {
		return banger.VM{}, err
	}
	kernel, err := s.kernels.choose(ctx, r.Kernel, image)
	if err != nil {
		return banger.VM{}, err
	}
	if err := checkName(ctx, s.store, r.Name); err != nil {
		return banger.VM{}, err
	}
	if err := s.room.check("create", r.Name); err != nil {
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
		KernelID: kernel.ID, KernelRelease: kernel.Release,
		Driver: driver.Name(), Capabilities: vmm.Capabilities(driver),
		CPUs: r.CPUs, MemoryMiB: r.MemoryMiB, SystemDiskMiB: r.SystemDiskMiB, WorkDiskMiB: r.WorkDiskMiB,
		ImageConfig: config, Init: init,
		State: banger.VMStopped, CreatedAt: now(), Autostart: r.Autostart, HostBootID: hostBoot,
	}
	if vm.Name == "" {
		vm.Name = "vm-" + string(vm.ID[:6])
	}
	if err := s.makeFiles(ctx, vm); err != nil {
		return banger.VM{}, errors.Join(fmt.Errorf("cannot create VM %s: %w", vm.Name, err), s.homes.remove(vm.ID))
	}
	stored, err := s.store.CreateVM(ctx, vm)
	if err != nil {
		return banger.VM{}, errors.Join(err, s.homes.remove(vm.ID))
	}
	return stored, nil
}

// imageConfig is that of an OCI image; nil for one that was built here.
func imageConfig(i banger.Image) *banger.ImageConfig {
	if i.OCI == nil {
		return nil
	}
	c := i.OCI.Config
	return &c
}

// imageHint says how to get an image that is not here.
func imageHint(name string) string {
	switch {
	case name == banger.DefaultImageName:
		return "build it first with: banger image build"
	case imagename.Plain(name):
		return fmt.Sprintf("build it first with: banger image build %s, or pull it with: banger image pull %s", name, name)
	}
	return "pull it first with: banger image pull " + name
}

// maker returns the driver of new VMs.
func (s *creator) maker() (vmm.Starter, error) {
	all := s.drivers.Starters()
	if len(all) == 0 {
		return nil, banger.Errorf(banger.CodeMissing, "cannot create VM: this daemon has no driver that makes machines")
	}
	return all[0], nil
}

// checkName refuses a taken name before disks are made; the store is the judge.
func checkName(ctx context.Context, store Store, name string) error {
	vms, err := store.ListVMs(ctx)
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

// makeFiles makes the disks and the host key of a new VM, durably. Its file comes last:
// a directory that has one has all.
func (s *creator) makeFiles(ctx context.Context, vm banger.VM) error {
	dir := s.homes.dir(vm.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := s.images.Use(vm.ImageID, dir); err != nil {
		return err
	}
	if vm.KernelID != "" {
		if err := s.kernels.Use(vm.KernelID, dir); err != nil {
			return err
		}
	}
	if err := makeHostKey(dir, vm.ID); err != nil {
		return err
	}
	group, making := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.disks.NewDisk(making, filepath.Join(dir, systemDiskName), vm.SystemDiskMiB, "banger-system")
	})
	group.Go(func() error {
		return s.disks.NewDisk(making, filepath.Join(dir, workDiskName), vm.WorkDiskMiB, "banger-work")
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return s.files.write(vm)
}
