package daemon

import "runtime"

// heapFloor is how much more the heap may grow between two collections. Output on its way
// is garbage: x/crypto/ssh allocates each packet. The heap of a daemon is small otherwise,
// and one of 4 MiB, the runtime's least, would be collected several hundred times for each
// GiB, which took a third of the daemon's CPU time. GOGC would do the same, but in
// proportion to what is alive: too much where many sessions are known.
const heapFloor = 4 << 20

// raiseHeap has the heap collected later by heapFloor, until release is called. What it
// allocates for that is never touched, so that it takes no memory.
func raiseHeap() (release func()) {
	floor := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(floor) }
}
