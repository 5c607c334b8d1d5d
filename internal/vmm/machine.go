// Package vmm is the contract between the services and the drivers of machines: what a
// driver is asked for, and what it answers. Machines differ by what they can do,
// which is what interfaces they implement; Drivers is the registry. It does no I/O.
package vmm

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"strconv"
	"time"

	"banger"
)

// MachineSpec is what a driver needs to start a machine. All paths are absolute
// and on the host.
type MachineSpec struct {
	VMID      banger.VMID
	Name      string // the VM's, for people; may be empty
	CPUs      int
	MemoryMiB int
	Kernel    string        // a bzImage, or an ELF that PVH can enter
	Initrd    string        // one file; may hold several cpio archives
	Disks     []MachineDisk // in the order in which the guest sees them
	StateDir  string        // exists; the driver keeps its logs and sockets there
}

// MachineDisk is a raw disk image.
type MachineDisk struct {
	Name     DiskName
	Path     string
	ReadOnly bool
}

// DiskName says what a disk is for, and distinguishes it from the others of its machine.
type DiskName string

// The disks of a VM.
const (
	ImageDisk  DiskName = "image"  // the image's root file system, or the lowest of those that are stacked
	SystemDisk DiskName = "system" // what the guest has changed of it
	WorkDisk   DiskName = "work"   // what is its user's
)

// MaxImageDisks is how many file systems an image may be stacked of: a registry's images
// have at most 127 layers.
const MaxImageDisks = 128

// NthImageDisk is the name of one of an image's disks; 0 is the lowest, ImageDisk.
func NthImageDisk(n int) DiskName {
	if n == 0 {
		return ImageDisk
	}
	return ImageDisk + DiskName("-"+strconv.Itoa(n))
}

// MachineRefName is the file in MachineSpec.StateDir with the machine's Ref. It
// is there before the machine's process runs, so that a machine whose starter
// died before it could store the Ref is found again. It may be stale: Adopt finds out.
const MachineRefName = "machine.json"

// Machine is a running machine. What else can be done with it is in the interfaces
// below. Safe for concurrent use. Close must be called when the handle is no longer
// needed; the machine continues.
type Machine interface {
	// Ref is what Adopt needs, as JSON; it never changes.
	Ref() json.RawMessage
	Info() MachineInfo
	// WaitReady returns when the guest can be logged in to, as far as can be known
	// without trying, with ErrMachineGone if the machine ends first, or with ctx. A guest
	// that reboots stays ready.
	WaitReady(ctx context.Context) error
	// Done is closed when the machine has ended, for whatever reason.
	Done() <-chan struct{}
	// Close gives up the handle and waits for its goroutines.
	Close() error
}

// Dialer is a Machine whose guest is ours: its SSH server has the key that we gave it.
// A Machine is either that or what internal/guest takes for a remote host.
type Dialer interface {
	Machine
	// Dial opens a connection to the guest's SSH server. Before the guest is ready
	// the connection may be refused, or opened and then closed.
	Dial(ctx context.Context) (net.Conn, error)
}

// Powered is a Machine that can be ended.
type Powered interface {
	Machine
	// PowerDown asks the guest to shut down, as a power button does (ACPI), and
	// returns when that was delivered. Done is closed when it has happened.
	PowerDown(ctx context.Context) error
	// Kill ends the machine at once and returns when nothing of it is left. On a
	// machine that has ended it does nothing.
	Kill(ctx context.Context) error
	// PoweredOff reports, once Done is closed, whether the guest had announced
	// that it powers off: then nothing was lost.
	PoweredOff() bool
}

// Owned is a Machine that a Starter has made: its guest is ours, and so is its power
// switch.
type Owned interface {
	Dialer
	Powered
}

// Standing is a Machine that is there whether it is used or not. Of such a one it is
// recorded whether it answers.
type Standing interface {
	Machine
	// Forget closes Done of this handle. Nothing is done to the machine.
	Forget()
}

// Pause says why the processors of a machine do not run.
type Pause string

// The reasons.
const (
	NotPaused        Pause = ""        // they run
	PausedForStorage Pause = "storage" // the host did not take a write; it is repeated when the machine continues
	PausedByUser     Pause = "user"    // anything else: somebody did that, and continues it
)

// PauseStatus says whether a machine is paused. Detail is what the host said of the
// write, or how somebody paused it; "" if that is not known.
type PauseStatus struct {
	Pause  Pause
	Detail string
}

// PausingMachine is a Machine that may be paused by what runs it.
type PausingMachine interface {
	Machine
	// FollowPauses calls f with the status as it is and then with each that follows,
	// until ctx or the machine ends, which is not an error, or it cannot hear of them any
	// more. A status that is over before f has returned may be left out. Only one handle
	// of a machine at a time hears of its pauses; another one's call waits for that.
	FollowPauses(ctx context.Context, f func(PauseStatus)) error
	// Continue lets a machine continue that is paused for this reason. If it is not, it
	// does nothing. Whether the write then works is reported to FollowPauses.
	Continue(ctx context.Context, why Pause) error
}

// MachineInfo describes a running machine to the user.
type MachineInfo struct {
	PID         int    // 0 if it has no process on this host
	Accelerator string // "kvm", "tcg" or ""
	SSHAddress  string // host:port on this host
	EndsWith    string // what banger.VM.EndsWith says
}

// Emulated reports whether the guest's processor is made of software: what a real one has
// instructions for, such as ciphers and sums, is slow there.
func (i MachineInfo) Emulated() bool { return i.Accelerator == "tcg" }

// MachineEnd is how a machine has ended, for its sessions.
type MachineEnd struct {
	By banger.EndedBy // what ended those that still ran: banger.EndedByVMStopped or banger.EndedByVMLost
	At time.Time      // when; zero if nobody saw it
	// Disk calls f with the directory of the session directories on the work disk,
	// which nobody else uses until f returns. f must end with its context.
	Disk func(ctx context.Context, f func(context.Context, fs.FS) error) error
}

// ErrMachineGone says that a machine has ended.
var ErrMachineGone = &banger.Error{Code: banger.CodeUnavailable, Message: "the machine has ended"}

// GuestAccess is how the host gets into one guest.
type GuestAccess struct {
	VMID    banger.VMID
	Machine Machine
	User    string
	HostKey string // authorized_keys form, sshd(8): the only key that is accepted
}
