package machine

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"banger"
	"banger/internal/paths"
)

// twoKernels is the kernels of a host that has two, and what was noted about them.
type twoKernels struct {
	used      map[string]banger.KernelID // by directory
	err       error
	inherited int // how often it was looked for
}

func (twoKernels) GetKernel(_ context.Context, ref string) (banger.Kernel, error) {
	switch ref {
	case "6.12":
		return banger.Kernel{ID: "new", Release: "6.12.9"}, nil
	case "6.1":
		return banger.Kernel{ID: "old", Release: "6.1.0"}, nil
	}
	return banger.Kernel{}, banger.Errorf(banger.CodeNotFound, "cannot find kernel %s", ref)
}

func (twoKernels) Files(_ context.Context, id banger.KernelID) (KernelFiles, error) {
	return KernelFiles{ID: string(id), Kernel: "vmlinux of " + string(id)}, nil
}

func (k twoKernels) Use(id banger.KernelID, dir string) error {
	if k.err == nil {
		k.used[dir] = id
	}
	return k.err
}

func (k *twoKernels) Inherited(ctx context.Context) (banger.Kernel, error) {
	k.inherited++
	return k.GetKernel(ctx, "6.1")
}

// vmRecords are those of VMs.
type vmRecords struct {
	Store
	vms map[banger.VMID]banger.VM
}

func (r vmRecords) UpdateVM(_ context.Context, id banger.VMID, change func(*banger.VM) error) (banger.VM, error) {
	vm := r.vms[id]
	err := change(&vm)
	r.vms[id] = vm
	return vm, err
}

func TestCreateVM_OnlyAnImageWithoutAKernelIsGivenOne(t *testing.T) {
	oci := banger.Image{OCI: &banger.OCIImage{}}
	k := kernels{Kernels: &twoKernels{}}
	for _, c := range []struct {
		asked string
		image banger.Image
		want  banger.KernelID
		code  banger.Code
	}{
		{"", oci, "new", ""}, {"6.1", oci, "old", ""}, {"", banger.Image{}, "", ""}, {"6.12", banger.Image{}, "new", ""}, {"5", oci, "", banger.CodeNotFound},
	} {
		got, err := k.choose(t.Context(), c.asked, c.image)
		if got.ID != c.want || banger.CodeOf(err) != c.code {
			t.Errorf("asked for %q of %+v: %+v, %v; want %q", c.asked, c.image, got, err, c.want)
		}
	}
}

func TestStartVM_BootsTheKernelThatItIsBoundTo(t *testing.T) {
	own := KernelFiles{Kernel: "of the image"}
	ids := map[string]banger.VMID{}
	for _, name := range []string{"of an image", "bound", "of an older banger", "another of that"} {
		ids[name] = banger.NewVMID()
	}
	store := vmRecords{vms: map[banger.VMID]banger.VM{
		ids["of an image"]:        {ID: ids["of an image"]},
		ids["bound"]:              {ID: ids["bound"], KernelID: "new", ImageConfig: &banger.ImageConfig{}},
		ids["of an older banger"]: {ID: ids["of an older banger"], ImageConfig: &banger.ImageConfig{}},
		ids["another of that"]:    {ID: ids["another of that"], ImageConfig: &banger.ImageConfig{}},
	}}
	p := paths.Paths{State: "/state"}
	all := &twoKernels{used: map[string]banger.KernelID{}}
	k := kernels{Kernels: all, store: store, homes: &homes{p}, log: slog.New(slog.DiscardHandler)}
	var vms []banger.VM
	for _, vm := range store.vms {
		vms = append(vms, vm)
	}
	k.note(t.Context(), vms) // as a daemon does that starts
	if all.inherited != 1 {
		t.Errorf("the kernel of all VMs of an older banger was looked for %d times", all.inherited)
	}
	for name, want := range map[string]string{"of an image": "of the image", "bound": "vmlinux of new", "of an older banger": "vmlinux of old", "another of that": "vmlinux of old"} {
		vm := store.vms[ids[name]]
		image := KernelFiles{}
		if vm.ImageConfig == nil {
			image = own
		}
		got, err := k.filesOf(t.Context(), vm, image)
		if err != nil || got.Kernel != want {
			t.Errorf("the VM %s boots %+v, %v; want %s", name, got, err, want)
		}
		if used := all.used[p.VM(vm.ID)]; used != vm.KernelID {
			t.Errorf("of the VM %s, the kernel %q is noted, and it boots %q", name, used, vm.KernelID)
		}
	}
	if vm := store.vms[ids["of an older banger"]]; vm.KernelID != "old" || vm.KernelRelease != "6.1.0" {
		t.Errorf("a VM of an older banger is bound to %q, %q", vm.KernelID, vm.KernelRelease)
	}
	all.err = errors.New("the disk is full")
	unbound := banger.VM{ID: ids["bound"], ImageConfig: &banger.ImageConfig{}}
	if _, err := k.filesOf(t.Context(), unbound, KernelFiles{}); !errors.Is(err, all.err) {
		t.Errorf("a VM boots a kernel that is not noted to be its own: %v", err)
	}
}
