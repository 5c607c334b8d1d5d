package records

import (
	"slices"

	"banger"
)

// sessionTransitions lists, for each status, the ones that may follow it in one
// step. A report may skip steps that were too short to be seen.
var sessionTransitions = map[banger.Status][]banger.Status{
	banger.StatusStarting: {banger.StatusRunning, banger.StatusStopping, banger.StatusExited, banger.StatusFailed},
	banger.StatusRunning:  {banger.StatusStopping, banger.StatusExited, banger.StatusFailed},
	banger.StatusStopping: {banger.StatusExited, banger.StatusFailed},
	banger.StatusExited:   {},
	banger.StatusFailed:   {},
}

// vmTransitions is the same for VMs.
var vmTransitions = map[banger.VMState][]banger.VMState{
	banger.VMStopped:  {banger.VMStarting, banger.VMFailed}, // failed: its directory is gone
	banger.VMStarting: {banger.VMRunning, banger.VMPaused, banger.VMStopping, banger.VMStopped, banger.VMFailed},
	banger.VMRunning:  {banger.VMPaused, banger.VMStopping, banger.VMStopped, banger.VMFailed},
	banger.VMPaused:   {banger.VMStarting, banger.VMRunning, banger.VMStopping, banger.VMStopped, banger.VMFailed},
	banger.VMStopping: {banger.VMPaused, banger.VMStopped, banger.VMFailed},
	banger.VMFailed:   {banger.VMStarting, banger.VMStopped},
}

// Presumed reports whether the end of a session was concluded from the end of
// its machine. Only such an end may later be corrected by the guest's own
// record: no exit status that was written to its disk is lost.
func Presumed(s banger.SessionState) bool {
	return s.Status == banger.StatusFailed && (s.EndedBy == banger.EndedByVMStopped || s.EndedBy == banger.EndedByVMLost)
}

// CheckTransition returns a CodeState error unless a session may go from one
// state to the other. It is the only judge of that.
func CheckTransition(from, to banger.SessionState) error {
	if from.Status == to.Status || slices.Contains(sessionTransitions[from.Status], to.Status) {
		return nil
	}
	if Presumed(from) && to.Status.Ended() {
		return nil
	}
	return banger.Errorf(banger.CodeState, "cannot change session from %s to %s", from.Status, to.Status)
}

// CheckVMTransition returns a CodeState error unless a VM may go from one state
// to the other. It is the only judge of that.
func CheckVMTransition(from, to banger.VMState) error {
	if from == to || slices.Contains(vmTransitions[from], to) {
		return nil
	}
	return banger.Errorf(banger.CodeState, "cannot change VM from %s to %s", from, to)
}

// SessionTransitions returns the statuses that may follow s in one step. It and
// VMTransitions are the source of docs/STATES.md.
func SessionTransitions(s banger.Status) []banger.Status { return slices.Clone(sessionTransitions[s]) }

// VMTransitions returns the states that may follow s in one step.
func VMTransitions(s banger.VMState) []banger.VMState { return slices.Clone(vmTransitions[s]) }
