package banger

// Capability is what can be done with the machine of a VM, beside what is done in its
// guest: that is the same for all.
type Capability string

// The capabilities.
const (
	CanPower    Capability = "power"   // it is started and stopped, also with the host
	CanConsole  Capability = "console" // what its kernel and init print is kept
	CanReadDisk Capability = "disk"    // its sessions can be read while it does not run
	CanUnlock   Capability = "unlock"  // its login may need what only the user knows
)

// Capabilities returns all capabilities, in their order.
func Capabilities() []Capability {
	return []Capability{CanPower, CanConsole, CanReadDisk, CanUnlock}
}
