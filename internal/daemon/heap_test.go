//go:build !unit

package daemon

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

func TestDaemon_CollectsItsHeapLaterThanAnEmptyOne(t *testing.T) {
	before := heapGoal()
	release := raiseHeap()
	defer release()
	if after := heapGoal(); after < before+heapFloor {
		t.Errorf("the heap is collected at %d bytes with the floor, at %d without", after, before)
	}
}

// heapGoal returns at which size the heap is collected next. What tests before have left in
// pools goes with the second collection, what has a finalizer with the third.
func heapGoal() uint64 {
	for range 3 {
		runtime.GC()
	}
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	return goal[0].Value.Uint64()
}
