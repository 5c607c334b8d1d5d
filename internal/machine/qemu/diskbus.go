package qemu

import (
	"fmt"
	"strings"

	"banger/internal/vmm"
)

// Of an image's disks all but the lowest are functions of devices of PCI, eight of each, since
// neither PCI's slots nor those of a microvm's own bus (24) are enough for them. QEMU gives
// other devices the lowest slots.
const (
	firstSlot     = 8
	slotFunctions = 8
	// maxDisks is that of an image, the system disk and the work disk.
	maxDisks = vmm.MaxImageDisks + 2
)

// diskBus is where a disk is attached.
type diskBus struct {
	accel    Accel
	function int // of those of PCI devices from firstSlot on; -1 for a device of its own
}

// needsPCI reports whether the machine needs that bus whatever its accelerator is.
func (b diskBus) needsPCI() bool { return b.function >= 0 }

// disksOnBuses has each of the image's disks but the lowest in a function, and each of the
// others in a device, as in a machine whose image has one disk.
func disksOnBuses(disks []vmm.MachineDisk, a Accel) []diskBus {
	buses := make([]diskBus, len(disks))
	functions := 0
	for i, d := range disks {
		buses[i] = diskBus{a, -1}
		if strings.HasPrefix(string(d.Name), string(vmm.ImageDisk)+"-") {
			buses[i].function = functions
			functions++
		}
	}
	return buses
}

// device is the disk's device, with options. What there are many of takes nothing of which a
// PC has few: ports of the legacy bus, and interrupt vectors, about 200 for each CPU, of which
// each virtio device with MSI-X takes two at least.
func (b diskBus) device(options string) string {
	if !b.needsPCI() {
		return b.accel.device("blk", options)
	}
	return fmt.Sprintf("virtio-blk-pci,addr=%#x.%d,multifunction=on,disable-legacy=on,num-queues=1,vectors=0%s",
		firstSlot+b.function/slotFunctions, b.function%slotFunctions, options)
}
