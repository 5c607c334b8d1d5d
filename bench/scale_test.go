package bench

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
)

// shimBudgetKiB is what an idle session may cost its guest, as the mean of a
// hundred: docs/ARCHITECTURE.md.
const shimBudgetKiB = 1024

// BenchmarkScale fills one VM of 1 GiB with idle sessions and measures at three
// numbers of them what they cost. It prints the table in docs/ARCHITECTURE.md,
// and fails when a shim is over its budget of memory.
func BenchmarkScale(b *testing.B) {
	bin, err := installation.Build(b.TempDir(), false)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		i := installation.New(b, bin)
		i.StartVM(b, "v", "--memory", "1G")
		var table strings.Builder
		table.WriteString(levelHeader)
		started := 0
		for _, sessions := range []int{1, 100, 500} {
			l := level{sessions: sessions, start: fill(b, i, sessions-started), list: list(b, i, sessions)}
			started = sessions
			l.measureGuest(b, i)
			if l.shims != sessions {
				b.Fatalf("%d shims run for %d sessions", l.shims, sessions)
			}
			if mean := l.shimKiB / l.shims; sessions == 100 && mean > shimBudgetKiB {
				b.Errorf("an idle shim has %d KiB of memory, the budget is %d", mean, shimBudgetKiB)
			}
			l.row(&table)
		}
		fmt.Print("\n", table.String())
	}
	b.ReportMetric(0, "ns/op") // the table says it
}

// fill starts n sessions one after the other and returns the median time of the
// last fifty.
func fill(b *testing.B, i *installation.Installation, n int) time.Duration {
	c := i.Client()
	var times []time.Duration
	for range n {
		began := time.Now()
		x, err := c.StartSession(b.Context(), "v", banger.SessionRequest{Launch: banger.Launch{
			Command: "sleep", Args: []banger.ByteString{"100000"}, StdinMode: banger.StdinClosed,
		}})
		if err != nil || x.Status != banger.StatusRunning {
			b.Fatalf("the session does not run: %v %+v", err, x.SessionState)
		}
		times = append(times, time.Since(began))
	}
	return median(times[max(0, len(times)-50):])
}

// list returns the median time to list the sessions.
func list(b *testing.B, i *installation.Installation, want int) time.Duration {
	c := i.Client()
	var times []time.Duration
	for range 21 {
		began := time.Now()
		sessions, err := c.ListSessions(b.Context(), banger.SessionFilter{VM: "v", Status: banger.StatusRunning})
		if err != nil || len(sessions) != want {
			b.Fatalf("%d sessions are listed, want %d: %v", len(sessions), want, err)
		}
		times = append(times, time.Since(began))
	}
	return median(times)
}

// level is what was measured with some number of sessions. The memory of a
// process is its proportional set size (Pss): proc(5), /proc/PID/smaps.
type level struct {
	sessions    int
	start, list time.Duration

	shims, shimKiB       int // number, sum
	controlKiB, agentKiB int
	availableKiB         int
}

const levelHeader = `| sessions | start one | list all | Pss of a shim | of control | of the agent | guest memory available |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
`

func (l *level) row(table *strings.Builder) {
	fmt.Fprintf(table, "| %d | %d ms | %.1f ms | %d KiB | %.1f MiB | %.1f MiB | %d MiB |\n",
		l.sessions, l.start.Milliseconds(), float64(l.list.Microseconds())/1e3, l.shimKiB/l.shims,
		float64(l.controlKiB)/1024, float64(l.agentKiB)/1024, l.availableKiB/1024)
}

// readGuest is a Perl program for the guest. It prints a line for each process:
// its Pss in KiB, its program and its first argument. A shell would start
// thousands of processes for that.
const readGuest = `for $p (glob "/proc/[0-9]*") {
	open(F, "$p/smaps_rollup") or next; ($pss) = map { /^Pss: *(\d+)/ } <F>;
	open(F, "$p/cmdline") or next; ($program, $argument) = split /\0/, join "", <F>;
	print "$pss $program $argument\n" if $pss && $argument !~ /\s/;
}
open(F, "/proc/meminfo"); print map { /^MemAvailable: *(\d+)/ ? "$1 available\n" : () } <F>;`

// measureGuest reads the guest's memory from its /proc.
func (l *level) measureGuest(b *testing.B, i *installation.Installation) {
	for line := range strings.Lines(i.MustRun(b, "vm", "ssh", "v", "--", "perl -e '"+readGuest+"'")) {
		size, process, _ := strings.Cut(strings.TrimSpace(line), " ")
		kib, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		program, argument, _ := strings.Cut(process, " ")
		switch program = path.Base(program); {
		case program == "available":
			l.availableKiB = kib
		case program == "banger-shim":
			l.shims++
			l.shimKiB += kib
		case program == "banger-agent" && argument == "control":
			l.controlKiB += kib
		case program == "banger-agent" || program == "init":
			l.agentKiB += kib
		}
	}
}
