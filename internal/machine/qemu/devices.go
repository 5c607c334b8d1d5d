package qemu

import "banger/internal/vmm"

// readyPort is the name of the virtio-serial port by which the driver learns that a guest
// is ready.
const readyPort = "org.banger.ready"

// The network that QEMU's user mode gives every guest: each has its own.
const (
	networkPrefix  = "10.0.2.0/24"
	guestAddress   = "10.0.2.15"
	gatewayAddress = "10.0.2.2"
	dnsAddress     = "10.0.2.3"
)

// Devices implements vmm.Starter.
func (d *Driver) Devices(spec vmm.MachineSpec) vmm.Devices {
	devices := vmm.Devices{
		Network:   vmm.Network{Address: guestAddress + "/24", Gateway: gatewayAddress, DNS: []string{dnsAddress}},
		Disks:     map[vmm.DiskName]string{},
		ReadyPort: readyPort,
	}
	for _, disk := range spec.Disks {
		devices.Disks[disk.Name] = serial(disk.Name)
	}
	return devices
}

// serial is the serial number of a disk, by which it is in the guest's /dev/disk/by-id,
// too.
func serial(name vmm.DiskName) string { return "banger-" + string(name) }
