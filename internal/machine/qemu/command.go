package qemu

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"banger"
	"banger/internal/vmm"
)

// The descriptors of the listening control sockets in QEMU's process: one for commands,
// and one on which somebody hears of its events. QEMU serves one client of each.
const (
	qmpFD = 3 + iota
	eventsFD
	consoleFD // what the guest prints, to the scribe
	readyFD   // what the guest writes to the ready port, to the scribe
)

// fdset is how QEMU names a descriptor that it has inherited where it wants a path.
func fdset(fd int) (add, path string) {
	return fmt.Sprintf("fd=%d,set=%d", fd, fd), fmt.Sprintf("/dev/fdset/%d", fd)
}

// sandbox takes from QEMU what a guest that breaks out of it would want.
const sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

// kernelCommandLine prints warnings and what init has to say. A kernel that
// panics says so on the console and boots again, as a server does. Where ACPI has
// no legacy hardware to announce, as in a microvm, Linux takes for granted that it
// can restart by EFI, does not find that, and jumps into the BIOS without a reset.
// The kernel's tests of its own ciphers are left out: they look for faults of a port to other
// hardware, and in an emulated guest they are more than half of what the kernel executes
// until it starts init.
const kernelCommandLine = "console=ttyS0 quiet panic=1 reboot=acpi cryptomgr.notests"

// platform is the part of the command line that depends on the accelerator. With
// TCG, microvm has no clock that Linux can use; with KVM it boots sooner than a PC.
// pci says that the machine needs such a bus in any case.
func (a Accel) platform(pci bool) []string {
	if a == AccelKVM {
		machine := "microvm,accel=kvm,acpi=on,rtc=on,auto-kernel-cmdline=off"
		if pci {
			machine += ",pcie=on"
		}
		return []string{
			// Without a clock chip Linux looks a second long for one.
			"-M", machine,
			"-global", "virtio-mmio.force-legacy=false", // virtio 1.x
			"-cpu", "host",
		}
	}
	return []string{"-M", "q35,accel=tcg,sata=off,smbus=off,smm=off,vmport=off", "-cpu", "max"}
}

// processors allows an emulated guest a second CPU that it does not have. For a
// machine of one, QEMU before 8.1 leaves out the guest's memory barriers, on
// which virtio relies, since devices run in a thread of their own.
func (a Accel) processors(n int) string {
	if a == AccelTCG {
		return fmt.Sprintf("cpus=%d,maxcpus=%d", n, max(n, 2))
	}
	return fmt.Sprintf("cpus=%d", n)
}

// device names a virtio device on the accelerator's bus.
func (a Accel) device(kind, options string) string {
	bus := "pci"
	if a == AccelKVM {
		bus = "device" // virtio-mmio
	}
	return "virtio-" + kind + "-" + bus + options
}

// arguments is QEMU's command line after its name, see qemu-system(1). The
// machine's name is in it, and tells its process from any other.
func arguments(s vmm.MachineSpec, a Accel, name string) ([]string, error) {
	addConsole, console := fdset(consoleFD)
	addReady, ready := fdset(readyFD)
	args := []string{
		"-name", name,
		"-uuid", machineUUID(s.VMID),
		"-nodefaults", "-no-user-config", "-display", "none",
		"-sandbox", sandbox,
		"-smp", a.processors(s.CPUs),
		"-m", fmt.Sprintf("size=%dM", s.MemoryMiB),
		"-kernel", s.Kernel,
		"-initrd", s.Initrd,
		"-append", kernelCommandLine,

		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d,server=on,wait=off", qmpFD),
		"-mon", "chardev=qmp,mode=control",
		"-chardev", fmt.Sprintf("socket,id=events,fd=%d,server=on,wait=off", eventsFD),
		"-mon", "chardev=events,mode=control",

		"-add-fd", addConsole,
		"-chardev", "file,id=console,append=on,path=" + console,
		"-serial", "chardev:console",

		"-add-fd", addReady,
		"-chardev", "file,id=ready,append=on,path=" + ready,
		"-device", a.device("serial", ",max_ports=2"),
		"-device", "virtserialport,chardev=ready,name=" + readyPort,

		"-object", "rng-builtin,id=rng",
		"-device", a.device("rng", ",rng=rng"),

		// The host picks the port, and is asked which: no other program can take
		// it in between.
		"-netdev", "user,id=net,net=" + networkPrefix + ",host=" + gatewayAddress + ",dns=" + dnsAddress + ",dhcpstart=" + guestAddress + ",hostfwd=tcp:127.0.0.1:0-" + guestAddress + ":22",
		"-device", a.device("net", a.netOptions()),
	}
	buses := disksOnBuses(s.Disks, a)
	for i, disk := range s.Disks {
		node := "disk" + strconv.Itoa(i)
		blockdev, err := blockdev(node, disk)
		if err != nil {
			return nil, err
		}
		args = append(args, "-blockdev", blockdev,
			"-device", buses[i].device(",drive="+node+onError+",serial="+escape(serial(disk.Name))))
	}
	return append(a.platform(slices.ContainsFunc(buses, diskBus.needsPCI)), args...), nil
}

// onError pauses the machine when the host does not take a write, whatever the reason:
// a full disk, a used-up quota, a file server that is away. The write is repeated when
// the machine continues, so nothing of it is lost, and the guest notices nothing. A
// failed read is the guest's to deal with. QEMU's own choice ("enospc") would tell the
// guest of a used-up quota, whose file system is then read-only.
const onError = ",werror=stop,rerror=report"

// netOptions leaves out the boot ROM that a network card on PCI brings.
func (a Accel) netOptions() string {
	if a == AccelKVM {
		return ",netdev=net"
	}
	return ",netdev=net,romfile="
}

// blockdev describes one disk. A flush of the guest reaches the host's disk,
// QEMU locks the file against a second writer, and what the guest discards or
// zeroes becomes a hole again.
func blockdev(node string, d vmm.MachineDisk) (string, error) {
	discard := "unmap"
	if d.ReadOnly {
		discard = "ignore"
	}
	file := map[string]any{"driver": "file", "filename": d.Path, "locking": "on", "discard": discard}
	format := map[string]any{"driver": "raw", "node-name": node, "read-only": d.ReadOnly, "discard": discard, "file": file}
	if !d.ReadOnly {
		format["detect-zeroes"] = "unmap"
	}
	data, err := json.Marshal(format)
	return string(data), err
}

// escape protects the comma, by which QEMU's options end.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// machineUUID is what the guest sees as its hardware's UUID: the same at every
// boot. The version is 8, "made as its maker likes": RFC 9562, section 5.8.
func machineUUID(id banger.VMID) string {
	b := sha256.Sum256([]byte("banger VM " + id))
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
