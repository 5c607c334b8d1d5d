package machine

import (
	"context"
	"log/slog"
	"sync"

	"banger"
)

// Kernels gives the kernels of VMs whose images have none; internal/kernel.Service does.
type Kernels interface {
	GetKernel(ctx context.Context, ref string) (banger.Kernel, error)
	// Files fails with CodeCorrupt if one of them is gone.
	Files(ctx context.Context, id banger.KernelID) (KernelFiles, error)
	// Use notes that the VM in a directory boots a kernel, which nobody deletes then.
	Use(id banger.KernelID, dir string) error
	// Inherited returns the kernel of the VMs whose records name none, though their image has
	// none: an older banger booted them with that of the newest image that was built here.
	Inherited(ctx context.Context) (banger.Kernel, error)
}

// KernelFiles are a kernel and its modules, absolute paths.
type KernelFiles struct {
	ID      string // of the kernel, or of the image that has it: what it is cached under
	Kernel  string // "": the image has none
	Modules string // the directory that holds modules.dep
}

// kernels bind VMs to kernels.
type kernels struct {
	Kernels
	store Store
	homes *homes
	log   *slog.Logger
}

// choose returns the kernel of a new VM: what was asked for, else nothing if its image has one,
// else the newest of the default version.
func (k kernels) choose(ctx context.Context, asked string, image banger.Image) (banger.Kernel, error) {
	switch {
	case asked != "":
		return k.GetKernel(ctx, asked)
	case image.OCI == nil:
		return banger.Kernel{}, nil
	}
	return k.GetKernel(ctx, banger.DefaultKernelName)
}

// filesOf returns the kernel that a VM boots. own is that of its image.
func (k kernels) filesOf(ctx context.Context, vm banger.VM, own KernelFiles) (KernelFiles, error) {
	if vm.KernelID == "" && own.Kernel != "" {
		return own, nil
	}
	if vm.KernelID == "" {
		var err error
		if vm, err = k.bind(ctx, vm, func() (banger.Kernel, error) { return k.Inherited(ctx) }); err != nil {
			return KernelFiles{}, err
		}
	}
	return k.Files(ctx, vm.KernelID)
}

// bind binds a VM of an older banger to the kernel that it has booted so far.
func (k kernels) bind(ctx context.Context, vm banger.VM, inherited func() (banger.Kernel, error)) (banger.VM, error) {
	kernel, err := inherited()
	if err != nil {
		return vm, err
	}
	if err := k.Use(kernel.ID, k.homes.dir(vm.ID)); err != nil {
		return vm, err
	}
	return k.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.KernelID, vm.KernelRelease = kernel.ID, kernel.Release
		return nil
	})
}

// note notes which kernels the VMs use, and binds those that an older banger did not.
func (k kernels) note(ctx context.Context, vms []banger.VM) {
	inherited := sync.OnceValues(func() (banger.Kernel, error) { return k.Inherited(ctx) }) // which reads all of its files
	for _, vm := range vms {
		var err error
		switch {
		case vm.KernelID != "":
			err = k.Use(vm.KernelID, k.homes.dir(vm.ID))
		case vm.ImageConfig != nil: // its image has none
			_, err = k.bind(ctx, vm, inherited)
		}
		if err != nil { // its start tries again, and says why it cannot
			k.log.Warn("cannot note that a VM uses its kernel", "vm", vm.ID, "kernel", vm.KernelID, "cause", err)
		}
	}
}
