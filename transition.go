package banger

import "slices"

// sessionTransitions lists, for each status, the ones that may follow it in one
// step. A report may skip steps that were too short to be seen.
var sessionTransitions = map[Status][]Status{
	StatusStarting: {StatusRunning, StatusStopping, StatusExited, StatusFailed},
	StatusRunning:  {StatusStopping, StatusExited, StatusFailed},
	StatusStopping: {StatusExited, StatusFailed},
	StatusExited:   {},
	StatusFailed:   {},
}

// vmTransitions is the same for VMs.
var vmTransitions = map[VMState][]VMState{
	VMStopped:  {VMStarting, VMFailed}, // failed: its directory is gone
	VMStarting: {VMRunning, VMPaused, VMStopping, VMStopped, VMFailed},
	VMRunning:  {VMPaused, VMStopping, VMStopped, VMFailed},
	VMPaused:   {VMStarting, VMRunning, VMStopping, VMStopped, VMFailed},
	VMStopping: {VMPaused, VMStopped, VMFailed},
	VMFailed:   {VMStarting, VMStopped},
}

// Presumed reports whether the end of a session was concluded from the end of
// its machine. Only such an end may later be corrected by the guest's own
// record: no exit status that was written to its disk is lost.
func (s SessionState) Presumed() bool {
	return s.Status == StatusFailed && (s.EndedBy == EndedByVMStopped || s.EndedBy == EndedByVMLost)
}

// CheckTransition returns a CodeState error unless a session may go from one
// state to the other. It is the only judge of that.
func (s SessionState) CheckTransition(to SessionState) error {
	if s.Status == to.Status || slices.Contains(sessionTransitions[s.Status], to.Status) {
		return nil
	}
	if s.Presumed() && to.Status.Ended() {
		return nil
	}
	return Errorf(CodeState, "cannot change session from %s to %s", s.Status, to.Status)
}

// CheckTransition returns a CodeState error unless a VM may go from one state
// to the other. It is the only judge of that.
func (s VMState) CheckTransition(to VMState) error {
	if s == to || slices.Contains(vmTransitions[s], to) {
		return nil
	}
	return Errorf(CodeState, "cannot change VM from %s to %s", s, to)
}

// Statuses returns all statuses in the order of a session's life, and
// SessionTransitions what may follow each: the source of docs/STATES.md.
func Statuses() []Status {
	return []Status{StatusStarting, StatusRunning, StatusStopping, StatusExited, StatusFailed}
}

// SessionTransitions returns the statuses that may follow s in one step.
func SessionTransitions(s Status) []Status { return slices.Clone(sessionTransitions[s]) }

// VMStates returns all states in the order of a VM's life.
func VMStates() []VMState {
	return []VMState{VMStopped, VMStarting, VMRunning, VMPaused, VMStopping, VMFailed}
}

// VMTransitions returns the states that may follow s in one step.
func VMTransitions(s VMState) []VMState { return slices.Clone(vmTransitions[s]) }
