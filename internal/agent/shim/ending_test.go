package shim

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

func TestEnding_NamesWhatEndedTheSession(t *testing.T) {
	exited := func(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }
	killedBy := func(sig syscall.Signal) syscall.WaitStatus { return syscall.WaitStatus(sig) }
	for name, c := range map[string]struct {
		ending
		status banger.Status
		by     banger.EndedBy
	}{
		"exit":                  {ending{status: exited(0)}, banger.StatusExited, banger.EndedByExit},
		"exit 1":                {ending{status: exited(1)}, banger.StatusFailed, banger.EndedByExit},
		"signal":                {ending{status: killedBy(syscall.SIGKILL)}, banger.StatusFailed, banger.EndedBySignal},
		"out of memory":         {ending{status: killedBy(syscall.SIGKILL), ooms: 1}, banger.StatusFailed, banger.EndedByOOM},
		"a child out of memory": {ending{status: exited(137), ooms: 1}, banger.StatusFailed, banger.EndedByExit},
		"stopped, exit 0":       {ending{status: exited(0), asked: banger.EndedByStop}, banger.StatusExited, banger.EndedByStop},
		"stopped, killed":       {ending{status: killedBy(syscall.SIGKILL), asked: banger.EndedByStop, ooms: 1}, banger.StatusFailed, banger.EndedByStop},
		"guest shut down":       {ending{status: killedBy(syscall.SIGTERM), asked: banger.EndedByVMStopped}, banger.StatusFailed, banger.EndedByVMStopped},
	} {
		var s banger.SessionState
		c.apply(&s)
		if s.Status != c.status || s.EndedBy != c.by || (s.ExitCode == nil) == (s.ExitSignal == "") {
			t.Errorf("%s: recorded as %+v", name, s)
		}
	}
}

func TestCgroup_UsageIsWhatTheKernelCounts(t *testing.T) {
	g := &cgroup{path: t.TempDir()}
	if u := g.usage(); u != (banger.Usage{}) {
		t.Errorf("%+v without a controller", u)
	}
	for name, text := range map[string]string{ // as the kernel writes it; cgroup-v2.rst
		"memory.events": "low 0\nhigh 0\nmax 17\noom 2\noom_kill 3\noom_group_kill 0\n",
		"memory.peak":   "1048576\n",
		"cpu.stat":      "usage_usec 42\nuser_usec 40\nsystem_usec 2\n",
	} {
		if err := os.WriteFile(filepath.Join(g.path, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if u := g.usage(); u != (banger.Usage{CPUTimeUS: 42, MemoryPeakBytes: 1 << 20, OOMKills: 3}) {
		t.Errorf("%+v", u)
	}
}

func TestSupervisor_KeepsTheFirstStepsOfAStopAndTheLast(t *testing.T) {
	v := newSupervisor(signals{})
	v.record = &record{dir: t.TempDir(), counts: func(*banger.SessionState) {}}
	for range banger.MaxStopSteps + 3 {
		v.recordStep(time.Now(), syscall.SIGTERM, stopRequest{cause: banger.EndedByStop})
	}
	v.recordStep(time.Now(), syscall.SIGKILL, stopRequest{cause: banger.EndedByKill, by: "x"})
	steps := v.record.snapshot().StopSteps
	if len(steps) != banger.MaxStopSteps || steps[0].Signal != "SIGTERM" || steps[len(steps)-1].By != "x" {
		t.Errorf("%+v", steps)
	}
}

func TestLogs_AreSyncedWithinASecondAndThenRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := openLogs(t.TempDir(), Launch{}, func() { t.Error("a write failed") })
		if err != nil {
			t.Fatal(err)
		}
		dirty := func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.dirty
		}
		for range 3 {
			l.output(banger.StreamStdout, []byte("x"))
			if !dirty() {
				t.Error("nothing will sync what was written")
			}
			time.Sleep(syncEvery)
			synctest.Wait()
			if dirty() {
				t.Error("the second has passed without a sync")
			}
			time.Sleep(time.Hour) // with a timer that continued, dirty would not matter
		}
		l.finish()
		l.output(banger.StreamStdout, []byte("x"))
		if dirty() {
			t.Error("a timer starts after the end")
		}
	})
}

// Zeros that a crash may have left in place of output are not taken for any: so those
// that are were on the disk when the write returned.
func TestLogs_WithSyncWhatIsWrittenIsOnTheDisk(t *testing.T) {
	for sync, want := range map[bool]int64{true: 3, false: 0} {
		dir := t.TempDir()
		l, err := openLogs(dir, Launch{SyncWrites: sync}, func() { t.Error("a write failed") })
		if err != nil {
			t.Fatal(err)
		}
		if err := sessiondir.WriteState(dir, sessiondir.State{ID: banger.NewSessionID(), SessionState: banger.SessionState{Status: banger.StatusRunning}}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l.output(banger.StreamStdout, []byte{0})
		}
		if totals, err := sessiondir.NewReader(os.DirFS(dir)).Totals(); err != nil || totals.Stdout != want {
			t.Errorf("sync %v: after a crash there are %d bytes of 3, %v", sync, totals.Stdout, err)
		}
		l.finish()
	}
}
