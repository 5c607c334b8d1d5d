package qemu

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"banger"
	"banger/internal/vmm"
)

// specOf is that of a VM whose image is stacked of n file systems.
func specOf(n int) vmm.MachineSpec {
	s := vmm.MachineSpec{VMID: banger.NewVMID(), CPUs: 1, MemoryMiB: 128, Kernel: "/k", Initrd: "/i", StateDir: "/s"}
	for i := range n {
		s.Disks = append(s.Disks, vmm.MachineDisk{Name: vmm.NthImageDisk(i), Path: "/d", ReadOnly: true})
	}
	for _, name := range []vmm.DiskName{vmm.SystemDisk, vmm.WorkDisk} {
		s.Disks = append(s.Disks, vmm.MachineDisk{Name: name, Path: "/d"})
	}
	return s
}

// diskDevices are the models of a machine's disks with their addresses, and its machine type.
func diskDevices(t *testing.T, s vmm.MachineSpec, a Accel) (devices []string, machine string) {
	t.Helper()
	args, err := arguments(s, a, "name")
	if err != nil {
		t.Fatal(err)
	}
	for i, arg := range args {
		switch {
		case arg == "-M":
			machine = args[i+1]
		case strings.HasPrefix(arg, "virtio-blk-"):
			device, _, _ := strings.Cut(arg, ",drive=")
			device, _, _ = strings.Cut(device, ",multifunction=on")
			devices = append(devices, device)
		}
	}
	return devices, machine
}

func TestDisks_AnImageOfOneFileSystemHasItsOwnDevice(t *testing.T) {
	for accel, want := range map[Accel]string{AccelTCG: "virtio-blk-pci", AccelKVM: "virtio-blk-device"} {
		devices, machine := diskDevices(t, specOf(1), accel)
		if !slices.Equal(devices, []string{want, want, want}) || strings.Contains(machine, "pcie=on") {
			t.Errorf("%s: %v on %s", accel, devices, machine)
		}
	}
}

func TestDisks_AsManyAsAnImageMayHaveFitIntoAMachine(t *testing.T) {
	for accel, own := range map[Accel]string{AccelTCG: "virtio-blk-pci", AccelKVM: "virtio-blk-device"} {
		devices, machine := diskDevices(t, specOf(vmm.MaxImageDisks), accel)
		want := []string{own}
		for i := range vmm.MaxImageDisks - 1 {
			want = append(want, fmt.Sprintf("virtio-blk-pci,addr=%#x.%d", 8+i/8, i%8))
		}
		if want = append(want, own, own); !slices.Equal(devices, want) {
			t.Errorf("%s: %v, want %v", accel, devices, want)
		}
		if pci := strings.Contains(machine, "pcie=on"); pci != (accel == AccelKVM) {
			t.Errorf("%s: the machine is %s", accel, machine)
		}
	}
}

func TestDisks_MoreThanTheMostAreRefused(t *testing.T) {
	if err := checkSpec(specOf(vmm.MaxImageDisks)); err != nil {
		t.Error(err)
	}
	if err := checkSpec(specOf(vmm.MaxImageDisks + 1)); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("got %v", err)
	}
}
