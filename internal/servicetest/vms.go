package servicetest

import (
	"context"
	"fmt"
	"slices"

	"banger"
)

// CreateVM implements banger.VMService.
func (f *Fake) CreateVM(ctx context.Context, r banger.VMRequest) (banger.VM, error) {
	if f.OnCreateVM != nil {
		f.call(fmt.Sprintf("%+v", r), "CreateVM", r)()
		return f.OnCreateVM(ctx, r)
	}
	defer f.call(fmt.Sprintf("%+v", r), "CreateVM", r)()
	if !f.Strict || f.Err != nil {
		return f.VM, f.Err
	}
	r = r.WithDefaults()
	if err := r.Validate(); err != nil {
		return banger.VM{}, err
	}
	image, err := f.image(r.Image)
	if err != nil {
		return banger.VM{}, err
	}
	vm := banger.VM{ID: banger.NewVMID(), Name: r.Name, ImageID: image.ID, ImageName: image.Name, KernelRelease: r.Kernel, State: banger.VMStopped, Autostart: r.Autostart}
	if vm.Name == "" {
		vm.Name = "vm-" + string(vm.ID[:6])
	}
	if err := f.free(vm); err != nil {
		return banger.VM{}, err
	}
	f.VMs = append(f.VMs, vm)
	return f.changeVM(banger.EventVMCreated, &f.VMs[len(f.VMs)-1], func(*banger.VM) {})
}

// free refuses a name that another VM has.
func (f *Fake) free(vm banger.VM) error {
	if slices.ContainsFunc(f.VMs, func(v banger.VM) bool { return v.Name == vm.Name && v.ID != vm.ID }) {
		return banger.Errorf(banger.CodeExists, "cannot name VM %q: there is one of that name", vm.Name)
	}
	return nil
}

// changeVM changes a record, which is an event if it changes anything.
func (f *Fake) changeVM(kind banger.EventKind, vm *banger.VM, change func(*banger.VM)) (banger.VM, error) {
	before := *vm
	change(vm)
	if kind != banger.EventVMChanged || before.Name != vm.Name || before.State != vm.State || before.Autostart != vm.Autostart {
		vm.Revision = f.Revision + 1
		f.emit(banger.Event{Kind: kind, VM: new(*vm)})
	}
	return *vm, nil
}

// updateVM changes the VM that a ref means.
func (f *Fake) updateVM(ref string, change func(*banger.VM)) (banger.VM, error) {
	if f.Err != nil {
		return f.VM, f.Err
	}
	vm, err := f.vm(ref)
	if err != nil {
		return banger.VM{}, err
	}
	if vm == &f.VM { // which stays what the test has made it
		return f.VM, nil
	}
	return f.changeVM(banger.EventVMChanged, vm, change)
}

// ListVMs implements banger.VMService.
func (f *Fake) ListVMs(context.Context) ([]banger.VM, error) {
	defer f.call("", "ListVMs")()
	if f.Strict || f.VMs != nil {
		return slices.Clone(f.VMs), f.Err
	}
	return []banger.VM{f.VM}, f.Err
}

// GetVM implements banger.VMService.
func (f *Fake) GetVM(_ context.Context, ref string) (banger.VM, error) {
	defer f.call(fmt.Sprintf("%q", ref), "GetVM", ref)()
	return f.updateVM(ref, func(*banger.VM) {})
}

// DeleteVM implements banger.VMService.
func (f *Fake) DeleteVM(_ context.Context, ref string, force bool) error {
	defer f.call(fmt.Sprintf("%q %v", ref, force), "DeleteVM", ref, force)()
	vm, err := f.updateVM(ref, func(*banger.VM) {})
	if err != nil || vm.ID == f.VM.ID {
		return err
	}
	if vm.State != banger.VMStopped && !force {
		return banger.Errorf(banger.CodeState, "cannot delete VM %s: its machine runs", vm.Name)
	}
	f.Sessions = slices.DeleteFunc(f.Sessions, func(x banger.Session) bool { return x.VMID == vm.ID })
	f.VMs = slices.DeleteFunc(f.VMs, func(v banger.VM) bool { return v.ID == vm.ID })
	f.emit(banger.Event{Kind: banger.EventVMDeleted, VM: &vm})
	return nil
}

// SetVM implements banger.VMService.
func (f *Fake) SetVM(_ context.Context, ref string, u banger.VMUpdate) (banger.VM, error) {
	defer f.call(fmt.Sprintf("%q autostart %v", ref, u.Autostart != nil && *u.Autostart), "SetVM", ref, u)()
	return f.updateVM(ref, func(vm *banger.VM) {
		if u.Autostart != nil {
			vm.Autostart = *u.Autostart
		}
	})
}

// RenameVM implements banger.VMService.
func (f *Fake) RenameVM(_ context.Context, ref string, r banger.VMRename) (banger.VM, error) {
	defer f.call(fmt.Sprintf("%q %q", ref, r.Name), "RenameVM", ref, r)()
	if err := r.Validate(); err != nil && f.Strict {
		return banger.VM{}, err
	}
	vm, err := f.updateVM(ref, func(*banger.VM) {})
	if err != nil {
		return banger.VM{}, err
	}
	if err := f.free(banger.VM{ID: vm.ID, Name: r.Name}); err != nil {
		return banger.VM{}, err
	}
	return f.updateVM(ref, func(vm *banger.VM) { vm.Name = r.Name })
}

// StartVM implements banger.VMService.
func (f *Fake) StartVM(_ context.Context, ref string) (banger.VM, error) {
	defer f.call(fmt.Sprintf("%q", ref), "StartVM", ref)()
	return f.updateVM(ref, func(vm *banger.VM) { vm.State = banger.VMRunning })
}

// StopVM implements banger.VMService.
func (f *Fake) StopVM(_ context.Context, ref string, r banger.VMStopRequest) (banger.VM, error) {
	defer f.call(fmt.Sprintf("%q %+v", ref, r), "StopVM", ref, r)()
	if err := r.Validate(); err != nil {
		return banger.VM{}, err
	}
	return f.updateVM(ref, func(vm *banger.VM) { vm.State = banger.VMStopped })
}

// ConsoleLog implements banger.VMService.
func (f *Fake) ConsoleLog(_ context.Context, ref string, maxBytes int64) ([]byte, error) {
	defer f.call(fmt.Sprintf("%q %d", ref, maxBytes), "ConsoleLog", ref, maxBytes)()
	_, err := f.updateVM(ref, func(*banger.VM) {})
	return f.Console, err
}

// SSHAccess implements banger.VMService.
func (f *Fake) SSHAccess(_ context.Context, ref string) (banger.SSHAccess, error) {
	defer f.call(fmt.Sprintf("%q", ref), "SSHAccess", ref)()
	_, err := f.updateVM(ref, func(*banger.VM) {})
	return f.Access, err
}
