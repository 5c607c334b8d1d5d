package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memory returns a size in bytes from /proc/PID/status.
func memory(b *testing.B, pid int, name string) float64 {
	b.Helper()
	return 1024 * field(b, fmt.Sprintf("/proc/%d/status", pid), name)
}

// resetPeak resets VmHWM; proc(5), clear_refs.
func resetPeak(b *testing.B, pid int) {
	b.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

// pss returns the proportional set size of some processes in bytes.
func pss(b *testing.B, pids ...int) float64 {
	b.Helper()
	var sum float64
	for _, pid := range pids {
		sum += 1024 * field(b, fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss")
	}
	return sum
}

// switches returns how often threads of some processes have been scheduled.
func switches(b *testing.B, pids ...int) float64 {
	b.Helper()
	var sum float64
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil {
			b.Fatal(err)
		}
		for _, task := range tasks {
			sum += field(b, task, "voluntary_ctxt_switches") + field(b, task, "nonvoluntary_ctxt_switches")
		}
	}
	return sum
}

// field returns a number from a file of lines "name: number".
func field(b *testing.B, file, name string) float64 {
	b.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name+":" {
			if value, err := strconv.ParseFloat(words[1], 64); err == nil {
				return value
			}
		}
	}
	b.Fatalf("%s has no number %s", file, name)
	return 0
}

// tick is the unit of CPU times in /proc; sysconf(3), _SC_CLK_TCK.
const tick = 10 * time.Millisecond

// cpu returns the CPU time that some processes have used.
func cpu(b *testing.B, pids ...int) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), ") ") // the name of a program comes before
		fields := strings.Fields(rest)
		for _, at := range []int{11, 12} { // utime and stime
			ticks, err := strconv.Atoi(fields[at])
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}

// parent returns the parent of a process.
func parent(b *testing.B, pid int) int {
	b.Helper()
	return int(field(b, fmt.Sprintf("/proc/%d/status", pid), "PPid"))
}
