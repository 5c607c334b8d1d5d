package bench

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What an idle session may take of memory, and its shim of wake-ups in idleTime; and
// what all of them and the daemon may take of CPU time in it, which is a thousandth.
const (
	memoryGoal = 2 << 20
	wakeGoal   = 0.1
	cpuGoal    = idleTime / 1000
	idleTime   = time.Minute
)

// daemons returns the memory of the processes that all sessions share.
func (p *place) daemons(b *testing.B) float64 {
	b.Helper()
	return pss(b, p.shared(b)...)
}

// shared returns the pids of the processes that all sessions of a host share.
func (p *place) shared(b *testing.B) []int {
	b.Helper()
	return append(p.server.Processes("\x00control\x00"), p.DaemonPID(b))
}

// idleMemory measures what an idle session takes beside its command: its shim, and its
// part of what daemon and control have grown since before.
func (p *place) idleMemory(b *testing.B, before float64) {
	shims := p.shims()
	part := (p.daemons(b) - before) / float64(len(shims))
	ours := series{Peer: "banger"}
	for _, pid := range shims {
		ours.Samples = append(ours.Samples, pss(b, pid)+part)
	}
	m := &measure{Name: "Memory", Title: "Memory of an idle session", Place: p.name, Unit: "B", Series: []series{ours, p.paneMemory(b)}}
	m.atMost("memory of an idle session", m.of("banger", 0.5), m.of("tmux", 0.5), 1)
	m.atMost("memory of an idle session", m.of("banger", 0.5), quantity{"budget", memoryGoal}, 1)
	m.record(b)
}

// paneMemory returns what a session of tmux takes: the shell in it, and its part of what
// the server has grown.
func (p *place) paneMemory(b *testing.B) series {
	b.Helper()
	tmux := "tmux -L memory -f /dev/null "
	p.must(b, p.ssh(b.Context(), tmux+"new-session -d -s first"))
	server := p.pids(b, tmux+"display-message -p '#{pid}'")
	before := pss(b, server...)
	p.must(b, p.ssh(b.Context(), "for n in $(seq 100); do "+tmux+"new-session -d -s s$n; done"))
	panes := p.pids(b, tmux+"list-panes -a -F '#{pane_pid}'")
	part := (pss(b, server...) - before) / 100
	s := series{Peer: "tmux"}
	for _, pid := range panes {
		s.Samples = append(s.Samples, pss(b, pid)+part)
	}
	return s
}

// pids returns those that a command line prints, one a line.
func (p *place) pids(b *testing.B, command string) []int {
	b.Helper()
	var pids []int
	for _, word := range strings.Fields(p.must(b, p.ssh(b.Context(), command))) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			b.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// idleCPU measures what shims, and daemon and control, do while nothing happens; and the
// server of tmux, which has as many sessions.
func (p *place) idleCPU(b *testing.B) {
	groups := []group{{"shims", p.shims()}, {"daemon+control", p.shared(b)}, {"tmux", p.pids(b, "tmux display-message -p '#{pid}'")}}
	woken := &measure{Name: "IdleWakeups", Title: "Wake-ups of each process in a minute of nothing", Place: p.name, Unit: "switches/min"}
	used := &measure{Name: "IdleCPU", Title: "CPU time of all processes in a minute of nothing", Place: p.name, Unit: "cpu-ns/min"}
	for _, g := range groups {
		woken.Series = append(woken.Series, series{g.name, []float64{-switches(b, g.pids...)}})
		used.Series = append(used.Series, series{g.name, []float64{-float64(cpu(b, g.pids...))}})
	}
	<-time.After(idleTime)
	for at, g := range groups {
		woken.Series[at].Samples[0] = (woken.Series[at].Samples[0] + switches(b, g.pids...)) / float64(len(g.pids))
		used.Series[at].Samples[0] += float64(cpu(b, g.pids...))
	}
	what := fmt.Sprintf("%d idle shims", len(groups[0].pids))
	woken.atMost("wake-ups in a minute of each of "+what, woken.of("shims", 0.5), quantity{"none, and noise", wakeGoal}, 1)
	woken.record(b)
	all := quantity{"shims, daemon and control", used.of("shims", 0.5).Value + used.of("daemon+control", 0.5).Value}
	used.atMost("CPU time in a minute of "+what+", daemon and control", all, quantity{"none, and noise", float64(cpuGoal)}, 1)
	used.record(b)
}

// group is some processes.
type group struct {
	name string
	pids []int
}
