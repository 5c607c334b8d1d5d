package banger

// Capability is something that can be done with a VM's machine. What is done in its guest,
// such as starting sessions, can be done with every VM.
type Capability string

// The capabilities.
const (
	CanPower    Capability = "power"   // it can be started and stopped
	CanConsole  Capability = "console" // the console output of its kernel and init is kept
	CanReadDisk Capability = "disk"    // its sessions can be read while it is stopped
	CanUnlock   Capability = "unlock"  // its login may need an answer that only the user has
)

// Capabilities returns all capabilities, in their order.
func Capabilities() []Capability {
	return []Capability{CanPower, CanConsole, CanReadDisk, CanUnlock}
}
