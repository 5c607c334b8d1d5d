package bench

import (
	"testing"
	"time"
)

// memoryGoal is what an idle session may take, in bytes.
const memoryGoal = 2 << 20

// idleTime is how long nothing happens.
const idleTime = time.Minute

// daemons returns the memory of the processes that all sessions share.
func (p *place) daemons(b *testing.B) float64 {
	b.Helper()
	return pss(b, append(p.controls(), p.DaemonPID(b))...)
}

// controls returns the pids of the control processes on a host.
func (p *place) controls() []int { return p.server.Processes("\x00control\x00") }

// idleMemory measures what an idle session takes beside its command: its shim, and its
// part of what daemon and control have grown since before.
func (p *place) idleMemory(b *testing.B, before float64) {
	const panes = 100
	shims := p.shims()
	ours := series{Peer: "banger"}
	shared := (p.daemons(b) - before) / float64(len(shims))
	for _, pid := range shims {
		ours.Samples = append(ours.Samples, pss(b, pid)+shared)
	}
	_ = panes
	m := &measure{Name: "Memory", Title: "Memory of an idle session", Place: p.name, Level: "sessions=1000", Unit: "B", Series: []series{ours}}
	m.atMost("memory of an idle session", m.of("banger", 0.5), quantity{"2 MiB", memoryGoal}, 1)
	m.record(b)
}

// idleCPU measures what daemon, control and shims do while nothing happens.
func (p *place) idleCPU(b *testing.B) {
	shared := append(p.controls(), p.DaemonPID(b))
	shims := p.shims()
	woken, used := switches(b, shims...), cpu(b, shims...)
	wokenShared, usedShared := switches(b, shared...), cpu(b, shared...)
	<-time.After(idleTime)
	woken, used = switches(b, shims...)-woken, cpu(b, shims...)-used
	wokenShared, usedShared = switches(b, shared...)-wokenShared, cpu(b, shared...)-usedShared
	b.Logf("idle: %d shims woken %v used %v; shared %v %v", len(shims), woken, used, wokenShared, usedShared)
}
