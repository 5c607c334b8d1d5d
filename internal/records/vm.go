package records

import "banger"

// CheckNotPaused fails with CodeUnavailable if the VM is paused: nothing in it can do
// anything now.
func CheckNotPaused(v banger.VM, verb, what string) error {
	if v.State != banger.VMPaused {
		return nil
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot %s %s: VM %s is paused: %s", verb, what, v.Name, v.LastError).
		WithHint("nothing is lost while it is paused; see banger vm show %s", v.Name)
}
