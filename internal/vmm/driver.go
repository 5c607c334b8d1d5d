package vmm

import (
	"context"
	"encoding/json"

	"banger"
)

// Driver reaches machines of one kind. What else it can is in the interfaces below, which
// it may implement, too: see Capabilities. Safe for concurrent use. machine/machinetest
// is the contract as a test suite.
type Driver interface {
	// Name is the value of banger.VM.Driver, for ever.
	Name() string
	// Kind describes its machines to people.
	Kind() Kind
	// Adopt takes over a machine that another process has used, by what its Ref
	// returned. If that machine no longer runs, the error is ErrMachineGone; a
	// process that merely has the same pid is never touched. A Ref that is not this
	// driver's is CodeCorrupt. A machine that hangs can be adopted, so that it can be
	// killed. Several handles of one machine may be used at once.
	Adopt(ctx context.Context, ref json.RawMessage) (Machine, error)
}

// Kind describes the machines of a driver to people.
type Kind struct {
	// Noun has its article: "a remote host".
	Noun string
	// Instead is the next step of a user who asked for what these machines lack. VM stands
	// for the name of theirs.
	Instead map[banger.Capability]string
}

// Starter is a Driver that makes machines, of disks that the caller has made, and ends
// them: banger.CanPower, banger.CanReadDisk. Its machines are Owned, adopted ones,
// too.
type Starter interface {
	Driver
	// Devices says by what the guest of a machine finds what it is given. It needs of the
	// spec only the disks, and is asked before Start: a guest's configuration is in its
	// initrd.
	Devices(spec MachineSpec) Devices
	// Start returns when the machine's process runs, before its guest has
	// booted. The machine outlives this process. A failed Start leaves nothing
	// behind. If a machine of this StateDir runs or is being started, the error is
	// CodeState, and that machine is left alone; see MachineRefName.
	Start(ctx context.Context, spec MachineSpec) (Owned, error)
	// PoweredOff is Powered.PoweredOff of a machine that has ended, by its Ref.
	PoweredOff(ref json.RawMessage) bool
}

// Devices are what a guest of ours has to know of its machine.
type Devices struct {
	Network Network
	Disks   map[DiskName]string // by the serial number that the guest sees
	// ReadyPort names the port to which the guest writes a line, "ready" and its boot id,
	// each time its SSH server begins to listen, and "off" and its boot id when all is
	// ended and it is about to power off.
	ReadyPort string
}

// Network is the static configuration of the guest's only interface.
type Network struct {
	Address string   // CIDR
	Gateway string   // IP address
	DNS     []string // IP addresses
}

// ConsoleLogger is a Driver that keeps what the guest's kernel and init print:
// banger.CanConsole.
type ConsoleLogger interface {
	Driver
	// ConsoleLogs are the files in MachineSpec.StateDir with the output since the machine
	// was last started, the newest first. A file of them may become the next one at any
	// moment, with another begun in its place.
	ConsoleLogs() []string
}

// Enroller is a Driver of machines that are there without it: they are logged in to as
// their user does, and neither started nor ended: banger.CanUnlock. Its machines are
// Standing.
type Enroller interface {
	Driver
	// Probe logs in to a host and brings the agent there. What only the user can answer
	// is CodeQuestion.
	Probe(ctx context.Context, r banger.RemoteRequest) (Machine, error)
	// Answer is Probe of a machine, with answers that are kept if they are right.
	Answer(ctx context.Context, m Machine, a banger.RemoteAnswers) error
	// SSHAccess says how the user's own OpenSSH client gets to a machine, by its Ref.
	SSHAccess(ref json.RawMessage) (banger.SSHAccess, error)
}

// Capabilities returns what can be done with the machines of a driver.
func Capabilities(d Driver) []banger.Capability {
	var all []banger.Capability
	for _, c := range banger.Capabilities() {
		if has(d, c) {
			all = append(all, c)
		}
	}
	return all
}

func has(d Driver, c banger.Capability) bool {
	switch c {
	case banger.CanPower, banger.CanReadDisk:
		_, ok := d.(Starter)
		return ok
	case banger.CanConsole:
		_, ok := d.(ConsoleLogger)
		return ok
	case banger.CanUnlock:
		_, ok := d.(Enroller)
		return ok
	}
	return false
}
