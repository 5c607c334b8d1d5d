package qemu

import (
	"os"
	"path/filepath"

	"banger/internal/confine"
)

// reach is all that QEMU can open while it runs this machine. A guest that takes QEMU
// over finds no key, no other guest's disk, and no image that it could write to.
func (l *launch) reach() confine.Rules {
	r := reachOf(l.binary, l.accel)
	r.Read = append(r.Read, l.spec.Kernel, l.spec.Initrd)
	r.Read = append(r.Read, resolver()...)
	for _, d := range l.spec.Disks {
		if d.ReadOnly {
			r.Read = append(r.Read, d.Path)
		} else {
			r.Write = append(r.Write, d.Path)
		}
	}
	return r
}

// reachOf is what a QEMU needs whatever it runs: its libraries, its firmware, KVM.
func reachOf(binary string, a Accel) confine.Rules {
	r := confine.System()
	if real, err := filepath.EvalSymlinks(binary); err == nil {
		// One that was built or unpacked elsewhere has its own beside it.
		prefix := filepath.Dir(filepath.Dir(real))
		r.Programs = append(r.Programs, real, filepath.Join(prefix, "lib"), filepath.Join(prefix, "lib64"))
		for _, firmware := range []string{"qemu", "qemu-firmware", "seabios", "ipxe"} {
			r.Read = append(r.Read, filepath.Join(prefix, "share", firmware))
		}
		r.Read = append(r.Read, filepath.Join(filepath.Dir(real), "pc-bios"))
	}
	if a == AccelKVM {
		r.Devices = append(r.Devices, kvmDevice)
	}
	return r
}

// resolver is where QEMU's user network looks up the host's name server, again each
// time that it has changed. Who changes it often makes a new file, which a rule for the
// old one does not grant, so what is granted is the directory; where that may hold
// secrets of root, only to other users.
func resolver() []string {
	file, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	switch dir := filepath.Dir(file); {
	case dir == "/run/systemd/resolve", dir == "/run/resolvconf", os.Geteuid() != 0:
		return []string{dir}
	}
	return []string{file}
}
