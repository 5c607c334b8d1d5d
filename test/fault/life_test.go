package fault

import (
	"context"
	"errors"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

// witness watches a promise about the sessions of a VM through the phases of its life. A
// phase that says nothing of the promise is nil.
type witness struct {
	promise                                string
	running, stopped, again, killed, later func(t *testing.T)
}

// A VM runs, is stopped, runs again, is killed and runs once more: a boot is long, so all
// that is promised of such a life is watched in one.
func TestFault_TheLifeOfAVMTakesNothingFromItsSessions(t *testing.T) {
	i := shared.Running(t, bin, "v")
	vm := show(t, i, "v")
	start := func() { i.MustRun(t, "vm", "start", "v") }
	kill := func() {
		i.KillMachine(t, vm)
		wait.For(t, "the VM to be lost", func() bool { return show(t, i, "v").State == banger.VMFailed })
	}
	// The last one has the guest sync what all have written, soon before the kill.
	witnesses := []witness{answersAreTheSame(i), logsAreReadFromTheDisk(i), followerContinues(t, i), whatWasSyncedIsKept(t, i)}
	for _, phase := range []struct {
		name    string
		happens func()
		of      func(witness) func(t *testing.T)
	}{
		{"while the VM runs", func() {}, func(w witness) func(t *testing.T) { return w.running }},
		{"when it is stopped", func() { i.MustRun(t, "vm", "stop", "v") }, func(w witness) func(t *testing.T) { return w.stopped }},
		{"when it runs again", start, func(w witness) func(t *testing.T) { return w.again }},
		{"when its machine was killed", kill, func(w witness) func(t *testing.T) { return w.killed }},
		{"when it runs once more", start, func(w witness) func(t *testing.T) { return w.later }},
	} {
		phase.happens()
		for _, w := range witnesses {
			if watch := phase.of(w); watch != nil {
				t.Run(phase.name+" "+w.promise, watch)
			}
		}
	}
}

// giveTime lets time pass, by the guest's clock, in which shims sync what was written: they
// do so each second. A session that writes all the time tells.
func giveTime(t *testing.T, i *installation.Installation, session string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Limit)
	defer cancel()
	passed := errors.New("enough time has passed")
	var from time.Time
	_, err := i.Client().ReadLogs(ctx, "v", session, banger.LogRequest{Stream: banger.StreamStdout, Lines: 1, Follow: true}, func(c banger.LogChunk) error {
		if from.IsZero() {
			from = c.Time
		}
		if c.Time.Sub(from) > 3*time.Second {
			return passed
		}
		return nil
	})
	if !errors.Is(err, passed) {
		t.Fatalf("the guest has not had time: %v", err)
	}
}
