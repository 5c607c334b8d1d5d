package banger

import (
	"context"
	"encoding/json"
	"time"
)

// VMState says what a VM does now.
type VMState string

// The states of a VM; docs/STATES.md has what may follow which.
const (
	VMStopped  VMState = "stopped"
	VMStarting VMState = "starting" // the machine is being started, or its guest is booting
	VMRunning  VMState = "running"  // the guest answered
	VMPaused   VMState = "paused"   // its processors stand still; LastError says why
	VMStopping VMState = "stopping"
	VMFailed   VMState = "failed" // a start failed or the machine ended without a request; LastError says which
)

// VMStates returns all states in the order of a VM's life.
func VMStates() []VMState {
	return []VMState{VMStopped, VMStarting, VMRunning, VMPaused, VMStopping, VMFailed}
}

// StoppedBy says how a machine ended.
type StoppedBy string

// How a machine ends.
const (
	StoppedByGuest  StoppedBy = "guest"  // the guest shut down, asked over its link or by its own user
	StoppedByACPI   StoppedBy = "acpi"   // the guest shut down, asked by the power button
	StoppedByKilled StoppedBy = "killed" // it was killed, on request or because the guest did not shut down in time: what was not on its disks is lost
)

// Init is what process 1 of a guest is.
type Init string

// What a VM can have as init.
const (
	InitBanger  Init = "banger"  // banger's own: sessions and an SSH server, nothing else
	InitSystemd Init = "systemd" // that of the image, with all that it starts
)

// Inits returns all of them.
func Inits() []Init { return []Init{InitBanger, InitSystemd} }

// VM is the record of one virtual machine.
type VM struct {
	ID            VMID         `json:"id"`
	Name          string       `json:"name" doc:"a DNS label; unique"`
	ImageID       ImageID      `json:"image_id"`
	ImageName     string       `json:"image_name" doc:"the image's name when the VM was created"`
	ImageConfig   *ImageConfig `json:"image_config,omitempty" doc:"what the author of an OCI image has chosen: the defaults of sessions"`
	KernelID      KernelID     `json:"kernel_id,omitempty" doc:"the kernel that it boots, whatever kernels come; absent if it boots that of its image"`
	KernelRelease string       `json:"kernel_release,omitempty" doc:"of that kernel, as uname -r prints it"`
	Init          Init         `json:"init,omitempty" doc:"what process 1 of its guest is: banger or systemd; absent for a remote host, and for a VM of an older banger, which has its own"`
	Driver        string       `json:"driver" doc:"what runs its machine: qemu, or remote for a host that banger only logs in to"`
	Capabilities  []Capability `json:"capabilities,omitempty" doc:"what can be done with its machine, in addition to what is done in its guest"`
	CPUs          int          `json:"cpus" doc:"number of virtual CPUs"`
	MemoryMiB     int          `json:"memory_mib" doc:"memory in MiB"`
	SystemDiskMiB int          `json:"system_disk_mib" doc:"size of the system disk in MiB"`
	WorkDiskMiB   int          `json:"work_disk_mib" doc:"size of the work disk, which is /root, in MiB"`
	State         VMState      `json:"state"`
	LastError     string       `json:"last_error,omitempty" doc:"why it failed, or what is wrong with it, for people"`
	BootID        string       `json:"boot_id,omitempty" doc:"the running guest's /proc/sys/kernel/random/boot_id"`
	Accelerator   string       `json:"accelerator,omitempty" doc:"kvm or tcg, of the running machine"`
	SSHTarget     string       `json:"ssh_target,omitempty" doc:"of a remote host: [user@]host[:port]"`
	SSHAddress    string       `json:"ssh_address,omitempty" doc:"host:port of the running guest's SSH server"`
	CreatedAt     time.Time    `json:"created_at" doc:"when it was recorded, by the host's clock"`
	UpdatedAt     time.Time    `json:"updated_at" doc:"when its record last changed, by the host's clock"`
	StartedAt     time.Time    `json:"started_at,omitzero" doc:"when the last start was requested"`
	ReadyAt       time.Time    `json:"ready_at,omitzero" doc:"when the guest of the last start first answered"`
	StoppedAt     time.Time    `json:"stopped_at,omitzero" doc:"when its machine last ended"`
	StoppedBy     StoppedBy    `json:"stopped_by,omitempty" doc:"how its machine was last stopped; absent while it runs, or if it was lost"`
	// UnreachableSince is when the link to a remote host went down, zero while it is up.
	UnreachableSince time.Time `json:"unreachable_since,omitzero" doc:"of a remote host; absent while it answers"`
	Autostart        bool      `json:"autostart,omitempty" doc:"whether the first daemon after each boot of the host starts it"`
	HostBootID       string    `json:"host_boot_id,omitempty" doc:"the boot of the host in which it was last started or created, or its autostart was set"`
	EndsWith         string    `json:"ends_with,omitempty" doc:"of the running machine: what on the host would end it without a request, and what prevents that; absent if only the end of the host does"`
	// LoginRefused distinguishes a host that refused the login from one that does not answer.
	LoginRefused bool `json:"login_refused,omitempty" doc:"of an unreachable remote host: it answered, but refused the login or cannot be used; it is retried after vm unlock, after a change of the user's ssh configuration, keys or known hosts, or after an hour"`
	// SessionsUnknown is set with the record or before anybody can ask for a session.
	SessionsUnknown bool `json:"sessions_unknown,omitempty" doc:"whether it may have sessions without a record: the store was lost or restored, and neither the guest nor the disk has been read since"`
	// Epoch is ID until an older snapshot is restored.
	Epoch       Epoch `json:"epoch" doc:"the branch of its life, in which the positions of its sessions count; a fork and the restore of an older snapshot begin a new one"`
	ParentEpoch Epoch `json:"parent_epoch,omitempty" doc:"the epoch from which this one parted; absent if it is the first"`
	Revision    int64 `json:"revision" doc:"the revision of the last event about it"`

	// Machine is what the driver needs to adopt the running machine again; only
	// the driver reads it. Empty when no machine may be running. It stays in the
	// store: the JSON of a VM leaves it out, and so do the API and events.
	Machine json.RawMessage `json:"-"`
}

// Ref returns the id and the name.
func (v VM) Ref() (id, name string) { return string(v.ID), v.Name }

// VMRequest asks for a new VM. Zero fields take their default.
type VMRequest struct {
	Name          string `json:"name,omitempty" doc:"a DNS label; default: a generated name"`
	Image         string `json:"image,omitempty" doc:"name or id; default: default"`
	Kernel        string `json:"kernel,omitempty" doc:"id, release or version of a kernel that is here; default: that of the image, else the newest 6.12 that is here"`
	Init          Init   `json:"init,omitempty" doc:"banger or systemd, which the image must have; default: systemd if that is the image's own command, else banger"`
	CPUs          int    `json:"cpus,omitempty" doc:"default 1"`
	MemoryMiB     int    `json:"memory_mib,omitempty" doc:"default 1024"`
	SystemDiskMiB int    `json:"system_disk_mib,omitempty" doc:"default 8192, sparse"`
	WorkDiskMiB   int    `json:"work_disk_mib,omitempty" doc:"default 8192, sparse"`
	Autostart     bool   `json:"autostart,omitempty" doc:"start it after each boot of the host"`
}

// VMUpdate changes settings of a VM; a nil field leaves its setting unchanged.
type VMUpdate struct {
	Autostart *bool `json:"autostart,omitempty" doc:"start it after each boot of the host, from the next one on"`
}

// VMRename asks for another name of a VM.
type VMRename struct {
	Name string `json:"name" required:"true" doc:"a DNS label; unique"`
}

// VMStopRequest says how a VM is to end.
//
// The zero value is a shutdown with DefaultVMStopGrace, or DefaultSystemdStopGrace.
type VMStopRequest struct {
	// Kill ends the machine at once: what is not on its disks is lost. There is no Grace then.
	Kill bool `query:"kill" doc:"kill the machine at once; not together with grace_ms"`
	// Grace is the time that the guest has to shut down before it is killed, at most
	// MaxStopGrace; 0 is DefaultVMStopGrace, and for a guest of systemd DefaultSystemdStopGrace.
	Grace time.Duration `query:"grace_ms" min:"1" hint:"end it at once with kill=true" doc:"grace period: milliseconds until the machine is killed, at least 1; default 30000, or 90000 if systemd is the init"`
}

// WithDefaults returns the request with its grace for a VM set: that of a kill is 0.
func (r VMStopRequest) WithDefaults(vm VM) VMStopRequest {
	switch {
	case r.Kill || r.Grace != 0:
	case vm.Init == InitSystemd:
		r.Grace = DefaultSystemdStopGrace
	default:
		r.Grace = DefaultVMStopGrace
	}
	return r
}

// DefaultVMStopGrace is how long a guest may take to shut down cleanly. An emulated one
// needs most of it on a busy host.
const DefaultVMStopGrace = 30 * time.Second

// DefaultSystemdStopGrace is the same of a guest whose init is systemd: services that wait for
// one another stop one after another, each in up to 10 s.
const DefaultSystemdStopGrace = 90 * time.Second

// VMService holds the rules about VMs. A ref is an exact id, an exact name or a
// unique prefix of either. Safe for concurrent use.
type VMService interface {
	CreateVM(ctx context.Context, r VMRequest) (VM, error)
	ListVMs(ctx context.Context) ([]VM, error)
	GetVM(ctx context.Context, ref string) (VM, error)
	// DeleteVM removes the record, the disks and all sessions of a VM. A running
	// one is refused with CodeState unless force is set, which kills it first.
	DeleteVM(ctx context.Context, ref string, force bool) error

	// SetVM changes settings, of a running VM too.
	SetVM(ctx context.Context, ref string, u VMUpdate) (VM, error)

	// RenameVM gives a VM another name, running or not; its guest takes that as its host name
	// when it next starts. A name that another VM has is CodeExists.
	RenameVM(ctx context.Context, ref string, r VMRename) (VM, error)

	// StartVM returns when the guest answers; a running VM is left as it is.
	StartVM(ctx context.Context, ref string) (VM, error)
	// StopVM asks the guest to power down, over its link or else by the power button, and
	// kills the machine after a grace, or kills it at once. It returns when nothing of the
	// machine is left; StoppedBy reports which it was.
	StopVM(ctx context.Context, ref string, r VMStopRequest) (VM, error)
	// ConsoleLog returns at most the last maxBytes of what the guest's kernel and
	// init printed since the machine was last started.
	ConsoleLog(ctx context.Context, ref string, maxBytes int64) ([]byte, error)
	// SSHAccess reports how the user's own OpenSSH client reaches a running VM.
	SSHAccess(ctx context.Context, ref string) (SSHAccess, error)
}

// SSHAccess is what an OpenSSH client on this host needs to log in to a guest.
type SSHAccess struct {
	User           string `json:"user" doc:"user to log in as"`
	Host           string `json:"host" doc:"address to connect to"`
	Port           int    `json:"port" doc:"TCP port"`
	IdentityFile   string `json:"identity_file" doc:"private key that the guest accepts (IdentityFile)"`
	KnownHostsFile string `json:"known_hosts_file" doc:"the guest's host key (UserKnownHostsFile)"`
	HostKeyAlias   string `json:"host_key_alias" doc:"name of the host key in known_hosts_file (HostKeyAlias)"`
	// Destination, of a remote host, is what the user's own ssh takes; only it and
	// IdentityFile are set then.
	Destination string `json:"destination,omitempty" doc:"of a remote host: the destination for the user's own ssh; then only this and identity_file are set"`
}

// The limits of a VM, and what it has unless asked otherwise.
const (
	DefaultImageName = "default"
	DefaultCPUs      = 1
	DefaultMemoryMiB = 1024
	DefaultDiskMiB   = 8192
	MinMemoryMiB     = 128 // below it Debian's kernel and our initrd do not fit
	MaxMemoryMiB     = 4 << 20
	MinDiskMiB       = 64
	MaxDiskMiB       = 16 << 20 // ext4 with 4 KiB blocks and 32-bit block numbers
	MaxCPUs          = 255
)
