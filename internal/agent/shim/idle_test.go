//go:build !unit

package shim_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/agent/shim"
	"banger/test/wait"
)

// idle starts sessions that do nothing.
func idle(t *testing.T, n int) []*session {
	t.Helper()
	parent := t.TempDir()
	var sessions []*session
	for range n {
		s, err := tryLaunch(t, binaries.plain, parent, func(l *shim.Launch) {
			l.Path, l.Argv, l.StdinMode = "/bin/sleep", []banger.ByteString{"sleep", "1000"}, banger.StdinPipe
		})
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	return sessions
}

func TestShim_NeedsLessThanAMebibyteWhenIdle(t *testing.T) {
	const count, budgetKiB = 100, 1024
	total := 0
	for _, s := range idle(t, count) {
		total += pssKiB(t, s.child.PID())
	}
	t.Logf("%d idle shims: %d KiB of Pss each", count, total/count)
	if total/count >= budgetKiB {
		t.Errorf("an idle shim needs %d KiB; %d are allowed", total/count, budgetKiB)
	}
}

func TestShim_SleepsWhenIdle(t *testing.T) {
	const count = 5
	sessions := idle(t, count)
	wakeups := func() (total int) {
		for _, s := range sessions {
			total += contextSwitches(t, s.child.PID())
		}
		return total
	}
	// What was begun by the start settles first.
	before := wakeups()
	wait.For(t, "the shims to settle", func() bool {
		<-time.After(300 * time.Millisecond)
		last := before
		before = wakeups()
		return before == last
	})
	<-time.After(2 * time.Second) // this is what is measured
	// The runtime's monitor looks around once a minute.
	if n := wakeups() - before; n > count {
		t.Errorf("%d idle shims were woken %d times in 2 s", count, n)
	}
}

// contextSwitches counts how often the threads of a process went to sleep.
func contextSwitches(t *testing.T, pid int) (total int) {
	t.Helper()
	threads, err := filepath.Glob("/proc/" + itoa(pid) + "/task/*/status")
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d has no threads, %v", pid, err)
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, err := strconv.Atoi(strings.TrimSpace(value))
				if err != nil {
					t.Fatal(err)
				}
				total += n
			}
		}
	}
	return total
}
