package qemu

import (
	"path/filepath"

	"banger"
	"banger/internal/vmm"
)

// maxSerialBytes is VIRTIO_BLK_ID_BYTES: virtio 1.2, section 5.2.6.
const maxSerialBytes = 20

// checkSpec refuses what QEMU would misunderstand rather than refuse.
func checkSpec(s vmm.MachineSpec) error {
	invalid := func(format string, args ...any) error {
		return banger.Errorf(banger.CodeInvalid, "cannot start machine of VM %s: "+format, append([]any{s.VMID}, args...)...)
	}
	if !banger.ValidID(string(s.VMID)) {
		return invalid("that is not an id")
	}
	if s.CPUs < 1 || s.CPUs > banger.MaxCPUs {
		return invalid("it cannot have %d CPUs", s.CPUs)
	}
	if s.MemoryMiB < 1 || s.MemoryMiB > banger.MaxMemoryMiB {
		return invalid("it cannot have %d MiB of memory", s.MemoryMiB)
	}
	if n := len(s.Disks); n > maxDisks {
		return invalid("it cannot have %d disks; %d is the most", n, maxDisks)
	}
	paths := []string{s.Kernel, s.Initrd, s.StateDir}
	for _, d := range s.Disks {
		if s := serial(d.Name); len(s) > maxSerialBytes {
			return invalid("the serial number %q of a disk has more than %d bytes", s, maxSerialBytes)
		}
		paths = append(paths, d.Path)
	}
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			return invalid("path %q is not absolute", p)
		}
	}
	return nil
}
