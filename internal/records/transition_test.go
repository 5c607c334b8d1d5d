package records_test

import (
	"slices"
	"testing"

	"banger"
	"banger/internal/records"
)

func TestSession_AnEndIsFinalUnlessItWasPresumed(t *testing.T) {
	state := func(s banger.Status, by banger.EndedBy) banger.SessionState {
		return banger.SessionState{Status: s, EndedBy: by}
	}
	for _, c := range []struct {
		from, to banger.SessionState
		ok       bool
	}{
		{state(banger.StatusFailed, banger.EndedByVMLost), state(banger.StatusExited, banger.EndedByExit), true},
		{state(banger.StatusFailed, banger.EndedByVMStopped), state(banger.StatusExited, banger.EndedByExit), true},
		{state(banger.StatusFailed, banger.EndedByVMLost), state(banger.StatusRunning, ""), false},
		{state(banger.StatusFailed, banger.EndedByExit), state(banger.StatusExited, banger.EndedByExit), false},
		{state(banger.StatusFailed, banger.EndedByLaunch), state(banger.StatusRunning, ""), false},
		{state(banger.StatusExited, banger.EndedByExit), state(banger.StatusFailed, banger.EndedByExit), false},
		{state(banger.StatusRunning, ""), state(banger.StatusStarting, ""), false},
		{state(banger.StatusStarting, ""), state(banger.StatusExited, banger.EndedByExit), true},
	} {
		if err := records.CheckTransition(c.from, c.to); c.ok != (err == nil) || !c.ok && banger.CodeOf(err) != banger.CodeState {
			t.Errorf("%s/%s to %s: %v", c.from.Status, c.from.EndedBy, c.to.Status, err)
		}
	}
}

func TestTransitions_EveryStateCanBeReachedAndNoneHoldsAVMForEver(t *testing.T) {
	for _, s := range banger.VMStates() {
		if len(records.VMTransitions(s)) == 0 {
			t.Errorf("a VM that is %s stays so", s)
		}
		if s != banger.VMStopped && !slices.ContainsFunc(banger.VMStates(), func(from banger.VMState) bool {
			return slices.Contains(records.VMTransitions(from), s)
		}) {
			t.Errorf("no VM becomes %s", s)
		}
	}
	for _, s := range banger.Statuses() {
		if s.Ended() != (len(records.SessionTransitions(s)) == 0) {
			t.Errorf("what may follow %s is %v", s, records.SessionTransitions(s))
		}
	}
}
