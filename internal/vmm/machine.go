// Package vmm is the contract between the services and the drivers of machines: what a
// driver is asked for, and what it answers. machine/machinetest is the contract as a
// test suite. It does no I/O.
package vmm

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
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
	Kernel    string        // bzImage
	Initrd    string        // one file; may hold several cpio archives
	Disks     []MachineDisk // in the order in which the guest sees them
	StateDir  string        // exists; the driver keeps its logs and sockets there, ConsoleLogName among them
}

// MachineDisk is a raw disk image.
type MachineDisk struct {
	Path     string
	Serial   string // by which the guest finds it; at most 20 bytes (virtio-blk)
	ReadOnly bool
}

// ConsoleLogName is the file in MachineSpec.StateDir with the console's output
// since the machine was started.
const ConsoleLogName = "console.log"

// OldConsoleLogName is the file beside it with what came before, once ConsoleLogName has
// had its full size and was begun again. Together they have the newest output.
const OldConsoleLogName = ConsoleLogName + ".1"

// MachineRefName is the file in MachineSpec.StateDir with the machine's Ref. It
// is there before the machine's process runs, so that a machine whose starter
// died before it could store the Ref is found again. It may be stale: Adopt tells.
const MachineRefName = "machine.json"

// Driver starts and adopts machines of one kind. Safe for concurrent use.
// machine/machinetest is the contract as a test suite.
type Driver interface {
	// Name is the value of banger.VM.Driver, for ever.
	Name() string
	// Start returns when the machine's process runs, before its guest has
	// booted. The machine outlives this process. A failed Start leaves nothing
	// behind. If a machine of this StateDir runs or is being started, the error is
	// CodeState, and that machine is left alone; see MachineRefName.
	Start(ctx context.Context, spec MachineSpec) (Machine, error)
	// Adopt takes over a machine that another process started, by what its Ref
	// returned. If that machine no longer runs, the error is ErrMachineGone; a
	// process that merely has the same pid is never touched. A machine that hangs
	// can be adopted, so that it can be killed. Several handles of one machine may
	// be used at once.
	Adopt(ctx context.Context, ref json.RawMessage) (Machine, error)
}

// DriverEnds is what a Driver may tell, too.
type DriverEnds interface {
	// PoweredOff is Machine.PoweredOff of a machine that has ended, by its Ref.
	PoweredOff(ref json.RawMessage) bool
}

// Machine is a running machine. Safe for concurrent use. Close must be called
// when the handle is no longer needed; the machine goes on.
type Machine interface {
	// Ref is what Adopt needs, as JSON; it never changes.
	Ref() json.RawMessage
	Info() MachineInfo
	// WaitReady returns when the guest has announced that its SSH server
	// listens, with ErrMachineGone if the machine ends first, or with ctx. A guest
	// that reboots stays ready.
	WaitReady(ctx context.Context) error
	// Dial opens a connection to the guest's SSH server. Before the guest is ready
	// the connection may be refused, or opened and then closed.
	Dial(ctx context.Context) (net.Conn, error)
	// PowerDown asks the guest to shut down, as a power button does (ACPI), and
	// returns when that was delivered. Done tells when it has happened.
	PowerDown(ctx context.Context) error
	// Kill ends the machine at once and returns when nothing of it is left. On a
	// machine that has ended it does nothing.
	Kill(ctx context.Context) error
	// Done is closed when the machine has ended, for whatever reason.
	Done() <-chan struct{}
	// PoweredOff reports, once Done is closed, whether the guest had announced
	// that it powers off: then nothing was lost.
	PoweredOff() bool
	// Close gives up the handle and waits for its goroutines.
	Close() error
}

// Pause says why the processors of a machine do not run.
type Pause string

// The reasons.
const (
	NotPaused        Pause = ""        // they run
	PausedForStorage Pause = "storage" // the host did not take a write; it is repeated when the machine continues
	PausedByUser     Pause = "user"    // anything else: somebody did that, and continues it
)

// PauseStatus tells whether a machine is paused. Detail is what the host said of the
// write, "" if nobody heard it.
type PauseStatus struct {
	Pause  Pause
	Detail string
}

// PausingMachine is a Machine that may be paused by what runs it.
type PausingMachine interface {
	Machine
	// FollowPauses calls f with the status as it is and then with each that follows,
	// until ctx or the machine ends, which is no error, or it cannot hear of them any
	// more. A status that is over before f has returned may be left out. Only one handle
	// of a machine at a time hears of its pauses; another one's call waits for that.
	FollowPauses(ctx context.Context, f func(PauseStatus)) error
	// Continue lets a machine go on that is paused for this reason. If it is not, it
	// does nothing. Whether the write then works is told to FollowPauses.
	Continue(ctx context.Context, why Pause) error
}

// MachineInfo describes a running machine to the user.
type MachineInfo struct {
	PID         int    // 0 if it has no process on this host
	Accelerator string // "kvm", "tcg" or ""
	SSHAddress  string // host:port on this host
	EndsWith    string // what banger.VM.EndsWith says
}

// MachineEnd is what the sessions of a machine are told when it has ended.
type MachineEnd struct {
	By banger.EndedBy // what ended those that still ran: banger.EndedByVMStopped or banger.EndedByVMLost
	At time.Time      // when; zero if nobody saw it
	// Disk calls f with the folder of the session directories on the work disk,
	// which nobody else uses until f returns. f has to heed its context.
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
