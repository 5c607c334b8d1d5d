package records

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"banger"
)

// Bounds of a state that comes out of a guest.
const (
	maxStateWord = 64 // bytes of a name such as that of a signal
	maxSequence  = math.MaxInt64 / 2
	maxExitCode  = 255
)

// CheckState refuses a state that no shim of ours writes. How long its free texts may be
// is for the caller to say.
func CheckState(s banger.SessionState) error {
	words := []string{s.ExitSignal, string(s.EndedBy), string(s.LaunchStage), string(s.LaunchCause)}
	for _, step := range s.StopSteps[:min(len(s.StopSteps), banger.MaxStopSteps)] {
		words = append(words, step.Signal, string(step.Cause))
		if len(step.By) > banger.MaxRequesterBytes {
			return fmt.Errorf("the requester of its stop has %d bytes", len(step.By))
		}
	}
	left := banger.Survivors{}
	if s.Survivors != nil {
		left = *s.Survivors
	}
	for _, p := range left.Processes[:min(len(left.Processes), banger.MaxSurvivors)] {
		words = append(words, p.Command)
	}
	switch {
	case !slices.Contains(banger.Statuses(), s.Status):
		return fmt.Errorf("%.40q is not a status", string(s.Status))
	case slices.ContainsFunc(words, func(w string) bool { return len(w) > maxStateWord }):
		return errors.New("it has a name that is too long to be one")
	case len(s.StopSteps) > banger.MaxStopSteps || len(left.Processes) > banger.MaxSurvivors:
		return errors.New("it has too many steps of a stop, or too many survivors")
	case min(s.Sequence, s.StdinOffset, s.StdoutBytes, s.StderrBytes, int64(s.GuestPID), int64(left.Count)) < 0,
		min(s.Usage.CPUTimeUS, s.Usage.MemoryPeakBytes, s.Usage.OOMKills) < 0:
		return errors.New("it has a negative count")
	case s.Sequence > maxSequence || s.ExitCode != nil && (*s.ExitCode < 0 || *s.ExitCode > maxExitCode):
		return errors.New("it has a field that cannot be true")
	}
	return nil
}
