//go:build !unit

package shim_test

import (
	"testing"

	"banger"
)

func TestKill_EmptiesAForkStorm(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		// A hundred chains, of which each link starts the next one and ends: there are
		// never more, and never the same.
		const script = `f() { (f) & } 2>/dev/null; i=0; while [ $i -lt 100 ]; do (f); i=$((i+1)); done; echo begun; while :; do sleep 1000; done`
		s := sh(t, script, way)
		s.waitForOutput("begun")
		s.stop(0)
		final := s.wait()
		if final.LastError != "" || final.EndedBy != banger.EndedByKill {
			t.Errorf("%+v", final)
		}
		t.Logf("dead, reaped and on record %s after the kill", final.EndedAt.Sub(final.StopSteps[0].At))
	})
}
