package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/vmm"
)

// boots has drivers boot machines.
type boots struct {
	store     Store
	images    Images
	kernels   kernels
	initrds   Initrds
	drivers   vmm.Drivers
	homes     *homes
	clientKey string // the authorized_keys line by which guests know the host
	log       *slog.Logger
}

// boot has the driver start a machine and stores how to adopt it.
func (s *boots) boot(ctx context.Context, vm banger.VM) (vmm.Machine, error) {
	driver, err := s.drivers.Starter(vm, "start")
	if err != nil {
		return nil, err
	}
	spec, err := s.prepare(ctx, vm, driver)
	if err != nil {
		return nil, err
	}
	m, err := driver.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	// From here on nothing may be forgotten because the client goes away.
	ctx = context.WithoutCancel(ctx)
	if err := storeMachine(ctx, s.store, vm.ID, m); err != nil {
		killed := kill(ctx, m)
		if killed != nil { // until its end is seen it is kept in hand: it writes to the disks
			s.log.Error("cannot record a machine or kill it; it keeps running", "vm", vm.ID, "cause", errors.Join(err, killed))
			return m, nil
		}
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// prepare checks what a VM boots from, writes its initrd, and describes its
// machine.
func (s *boots) prepare(ctx context.Context, vm banger.VM, driver vmm.Starter) (vmm.MachineSpec, error) {
	var spec vmm.MachineSpec
	image, err := s.images.Files(ctx, vm.ImageID)
	if banger.CodeOf(err) == banger.CodeNotFound {
		return spec, banger.Errorf(banger.CodeCorrupt, "cannot use VM %s: its image %s (%s) is gone", vm.Name, vm.ImageName, vm.ImageID).
			WithHint("put the directory %s back, or build the image again; the logs of the VM's sessions can be read without it", s.homes.paths.Image(vm.ImageID))
	}
	if err != nil {
		return spec, err
	}
	kernel, err := s.kernels.filesOf(ctx, vm, image.Kernel)
	if err != nil {
		return spec, err
	}
	private, _, err := s.homes.readHostKey(vm.ID)
	if err != nil {
		return spec, err
	}
	dir := s.homes.dir(vm.ID)
	spec = vmm.MachineSpec{
		VMID: vm.ID, Name: vm.Name, CPUs: vm.CPUs, MemoryMiB: vm.MemoryMiB,
		Kernel: kernel.Kernel, Initrd: filepath.Join(dir, initrdName),
		Disks:    diskList(image, dir),
		StateDir: dir,
	}
	devices := driver.Devices(spec)
	var imageConfig banger.ImageConfig // of sessions and logins
	if vm.ImageConfig != nil {
		imageConfig = *vm.ImageConfig
	}
	err = s.initrds.WriteVM(ctx, spec.Initrd, kernel, guestconfig.Config{
		Hostname: vm.Name, Network: guestconfig.Network(devices.Network), SSHHostKey: private, AuthorizedKeys: []string{s.clientKey},
		ImageDisks: imageSerials(devices, len(image.Roots)), SystemDisk: devices.Disks[vmm.SystemDisk], WorkDisk: devices.Disks[vmm.WorkDisk],
		ReadyPort: devices.ReadyPort, User: image.User, VMID: string(vm.ID), Init: guestInit(vm.Init),
		LoginUser: imageConfig.User, Env: imageConfig.Environment(),
	})
	if err != nil {
		return spec, fmt.Errorf("cannot write initrd: %w", err)
	}
	return spec, nil
}

// diskList are the disks of a VM whose files lie in dir.
func diskList(image ImageFiles, dir string) []vmm.MachineDisk {
	var disks []vmm.MachineDisk
	for n, path := range image.Roots {
		disks = append(disks, vmm.MachineDisk{Name: vmm.NthImageDisk(n), Path: path, ReadOnly: true})
	}
	return append(disks,
		vmm.MachineDisk{Name: vmm.SystemDisk, Path: filepath.Join(dir, systemDiskName)},
		vmm.MachineDisk{Name: vmm.WorkDisk, Path: filepath.Join(dir, workDiskName)})
}

// imageSerials are by what a guest finds the disks of its image, the lowest first.
func imageSerials(devices vmm.Devices, n int) []string {
	var serials []string
	for i := range n {
		serials = append(serials, devices.Disks[vmm.NthImageDisk(i)])
	}
	return serials
}

// storeMachine records a running machine, so that the next daemon can adopt it.
// A VM that had failed counts as starting until its guest answers.
func storeMachine(ctx context.Context, store Store, id banger.VMID, m vmm.Machine) error {
	info := m.Info()
	_, err := store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.Machine, vm.Accelerator, vm.SSHAddress, vm.EndsWith = m.Ref(), info.Accelerator, info.SSHAddress, info.EndsWith
		if vm.State == banger.VMFailed || vm.State == banger.VMStopped {
			vm.State, vm.LastError = banger.VMStarting, ""
		}
		return nil
	})
	return err
}
