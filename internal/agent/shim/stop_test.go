//go:build !unit

package shim_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/internal/agent/shim"
	"banger/internal/agent/shimclient"
	"banger/internal/guestapi"
	"banger/internal/process"
	"banger/sessionstream"
	"banger/test/wait"
)

// did returns the steps of a stop without their times, which must not go back.
func did(t *testing.T, s banger.SessionState) string {
	t.Helper()
	var all []string
	last := s.StartedAt
	for _, step := range s.StopSteps {
		if step.At.Before(last) {
			t.Errorf("steps out of order: %+v", s.StopSteps)
		}
		last = step.At
		all = append(all, strings.TrimSpace(step.Signal+" "+string(step.Cause)+" "+step.By))
	}
	return strings.Join(all, ", ")
}

func TestStop_EachStepIsOnRecordAndToldAsItHappens(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, "trap '' TERM; echo ready; while :; do sleep 1000 & wait; done", way)
		s.waitForOutput("ready")
		conn, err := shimclient.Dial(t.Context(), s.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var all []banger.SessionState
		err = conn.Watch(t.Context(), func(st banger.SessionState) {
			if all = append(all, st); len(all) == 1 { // whoever looks on later may get both at once
				s.stop(50 * time.Millisecond)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		final := all[len(all)-1]
		if got := did(t, final); got != "SIGTERM stop test, SIGKILL stop" || final.EndedBy != banger.EndedByStop || final.ExitSignal != "SIGKILL" {
			t.Errorf("%s: %+v", got, final)
		}
		told := map[int]bool{}
		for _, st := range all {
			told[len(st.StopSteps)] = true
		}
		if !told[1] || !told[2] {
			t.Errorf("told of %v steps", told)
		}
	})
}

// As with docker: the command ends the others, in its own way.
func TestStop_ASignalOfItsOwnGoesToTheCommandAlone(t *testing.T) {
	const script = `trap 'kill -USR2 $child; wait $child; exit 3' USR1
(trap 'echo both' USR1; trap 'echo alone; exit' USR2; echo child; while :; do sleep 1000 & wait; done) & child=$!
echo parent; while :; do wait; done`
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, script, way, func(l *shim.Launch) { l.StopSignal = "SIGUSR1" })
		s.waitForOutput("child\n")
		s.waitForOutput("parent\n")
		s.stop(time.Hour)
		final := s.wait()
		if got := did(t, final); got != "SIGUSR1 stop test" || final.EndedBy != banger.EndedByStop || final.ExitCode == nil || *final.ExitCode != 3 {
			t.Errorf("%s: %+v", got, final)
		}
		if out := s.stdout(); strings.Contains(out, "both") || !strings.Contains(out, "alone") {
			t.Errorf("its child has got the signal, too, or not the command: %q", out)
		}
	})
}

func TestKill_AfterAStopIsOnRecordToo(t *testing.T) {
	s := sh(t, "trap '' TERM; echo ready; while :; do sleep 1000 & wait; done")
	s.waitForOutput("ready")
	s.stop(time.Hour)
	if err := shimclient.Stop(t.Context(), s.dir, banger.StopRequest{Kill: true, By: "somebody else"}); err != nil {
		t.Fatal(err)
	}
	final := s.wait()
	if got := did(t, final); got != "SIGTERM stop test, SIGKILL kill somebody else" || final.EndedBy != banger.EndedByKill {
		t.Errorf("%s: %+v", got, final)
	}
}

func TestKill_EndsWhatHasLeftTheCgroup(t *testing.T) {
	root := cgroupRoot(t)
	if root == "" {
		t.Log("no cgroup (v2) can be made here")
		return
	}
	// The shim does not learn the end of what is in the cgroup: that has a parent, which
	// is not in it any more.
	leave := "echo 0 >" + filepath.Dir(root) + "/cgroup.procs"
	for name, script := range map[string]string{
		"the command": "sleep 1000 & " + leave + "; echo ready; exec tail -f /dev/null",
		"another":     "(sleep 1000 & " + leave + "; echo ready; exec tail -f /dev/null) & exec sleep 1000",
	} {
		s := sh(t, script, withCgroup(root))
		s.waitForOutput("ready")
		s.stop(0)
		if final := s.wait(); final.EndedBy != banger.EndedByKill || final.LastError != "" {
			t.Errorf("%s: %+v", name, final)
		}
	}
}

// untilReady starts a script with a limit of its time that it has reported ready before, be
// it on a machine so busy that the first limits are too short for that.
func untilReady(t *testing.T, script string, grace time.Duration) (final banger.SessionState, limit time.Duration) {
	t.Helper()
	for limit = 50 * time.Millisecond; limit < patience; limit *= 2 {
		s := sh(t, script, func(l *shim.Launch) { l.Timeout, l.TimeoutGrace = limit, grace })
		if final = s.wait(); strings.Contains(s.stdout(), "ready") {
			return final, limit
		}
	}
	t.Fatalf("%s is never ready", script)
	return final, limit
}

func TestTimeout_StopsTheSession(t *testing.T) {
	for script, want := range map[string]struct {
		steps, signal string
		code          *int
	}{
		"echo ready; exec sleep 1000":                                         {"SIGTERM timeout", "SIGTERM", nil},
		"trap 'exit 3' TERM; echo ready; while :; do sleep 1000 & wait; done": {"SIGTERM timeout", "", ptr(3)},
		"trap '' TERM; echo ready; while :; do sleep 1000 & wait; done":       {"SIGTERM timeout, SIGKILL timeout", "SIGKILL", nil},
	} {
		grace := time.Hour // however long a busy machine takes to end it
		if strings.Contains(want.steps, "SIGKILL") {
			grace = 50 * time.Millisecond
		}
		final, limit := untilReady(t, script, grace)
		if got := did(t, final); got != want.steps || final.EndedBy != banger.EndedByTimeout || final.ExitSignal != want.signal {
			t.Errorf("%s: %s, %+v", script, got, final)
		}
		if (final.ExitCode == nil) != (want.code == nil) || want.code != nil && *final.ExitCode != *want.code {
			t.Errorf("%s: exit code %v", script, final.ExitCode)
		}
		// Its time begins a moment before its start is noted.
		if life := final.EndedAt.Sub(final.StartedAt); life < limit/2 {
			t.Errorf("%s: stopped after %s", script, life)
		}
	}
}

func TestTimeout_OfASessionThatEndsBeforeDoesNothing(t *testing.T) {
	final := sh(t, "exit 0", func(l *shim.Launch) { l.Timeout = time.Hour }).wait()
	if final.EndedBy != banger.EndedByExit || final.StopSteps != nil {
		t.Errorf("%+v", final)
	}
}

// A busy guest may see the end of a command no earlier than that of its time.
func TestTimeout_DoesNotEndWhatHasEnded(t *testing.T) {
	limit := 100 * time.Millisecond
	for tries := 0; tries < 8; {
		s := sh(t, "exec sleep 1000", func(l *shim.Launch) { l.Timeout, l.TimeoutGrace = limit, time.Hour })
		stat, err := process.ReadStat(s.state.GuestPID)
		if errors.Is(err, fs.ErrNotExist) { // its time has ended already
			limit *= 2
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		parent := pids(t, stat.Field(4))[0]
		if err := syscall.Kill(parent, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		wait.For(t, "the shim to stop", func() bool { return processState(parent) == "T" })
		if time.Since(s.state.StartedAt) > limit { // its time may have ended before that
			if err := syscall.Kill(parent, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			limit *= 2
			continue
		}
		tries++
		err = syscall.Kill(s.state.GuestPID, syscall.SIGKILL)
		wait.For(t, "the end of the command", func() bool { return !alive(s.state.GuestPID) })
		wait.For(t, "the end of its time", func() bool { return time.Since(s.state.StartedAt) > limit })
		if err := errors.Join(err, syscall.Kill(parent, syscall.SIGCONT)); err != nil {
			t.Fatal(err)
		}
		if final := s.wait(); final.EndedBy != banger.EndedBySignal || final.StopSteps != nil {
			t.Errorf("%+v", final)
		}
	}
}

func TestSignal_ReachesTheCommandAloneOrAll(t *testing.T) {
	const script = "trap 'echo parent' USR1; (trap 'echo child' USR1; echo ready; while :; do sleep 1000 & wait; done) & while :; do wait; done"
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, script, way)
		s.waitForOutput("ready")
		signal := func(g guestapi.GuestSignal) {
			t.Helper()
			if err := shimclient.Signal(t.Context(), s.dir, g); err != nil {
				t.Fatal(err)
			}
		}
		signal(guestapi.GuestSignal{ID: "1", Signal: "SIGUSR1"})
		s.waitForOutput("parent\n")
		signal(guestapi.GuestSignal{ID: "2", Signal: strconv.Itoa(int(syscall.SIGUSR1)), All: true})
		s.waitForOutput("child\n")
		if got := s.waitForOutput("parent\nchild\n"); !strings.HasSuffix(got, "parent\n") && strings.Count(got, "parent\n") < 2 {
			wait.For(t, "the second one at the parent", func() bool { return strings.Count(s.stdout(), "parent\n") == 2 })
		}
	})
}

func TestSignal_IsSentOnceHoweverOftenItIsAskedFor(t *testing.T) {
	s := sh(t, "trap 'echo got' USR1; trap 'exit 0' USR2; echo ready; while :; do sleep 1000 & wait; done")
	s.waitForOutput("ready")
	for range 5 {
		if err := shimclient.Signal(t.Context(), s.dir, guestapi.GuestSignal{ID: "same", Signal: "SIGUSR1"}); err != nil {
			t.Fatal(err)
		}
	}
	s.waitForOutput("got")
	if err := shimclient.Signal(t.Context(), s.dir, guestapi.GuestSignal{ID: "other", Signal: "SIGUSR2"}); err != nil {
		t.Fatal(err) // also if its consequence is told at the same time
	}
	s.wait()
	if got := s.stdout(); strings.Count(got, "got") != 1 {
		t.Errorf("%q", got)
	}
}

func TestSignal_ThatEndsTheSessionIsNotCalledTooLate(t *testing.T) {
	for range 20 {
		s := sh(t, "exec sleep 1000")
		if err := shimclient.Signal(t.Context(), s.dir, guestapi.GuestSignal{Signal: "SIGKILL"}); err != nil {
			t.Fatal(err)
		}
		if final := s.wait(); final.EndedBy != banger.EndedBySignal || final.ExitSignal != "SIGKILL" {
			t.Errorf("%+v", final)
		}
	}
}

func TestSignal_ThatIsNoneOrTooLateIsRefused(t *testing.T) {
	s := sh(t, "exec sleep 1000")
	err := shimclient.Signal(t.Context(), s.dir, guestapi.GuestSignal{Signal: "SIGNONE"})
	if refused, ok := errors.AsType[*sessionstream.Error](err); !ok || refused.Code != sessionstream.CodeUnsupported {
		t.Errorf("no signal: %v", err)
	}
	s.stop(0)
	s.wait()
	if err := shimclient.Signal(t.Context(), s.dir, guestapi.GuestSignal{Signal: "SIGHUP"}); !errors.Is(err, shimclient.ErrNoShim) {
		t.Errorf("after the end: %v", err)
	}
}

func TestKeepChildren_SurvivorsAreListedAndLive(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, "setsid sleep 1000 >/dev/null 2>&1 & while read name </proc/$!/comm && [ $name != sleep ]; do :; done; echo $!; exit 4", way, func(l *shim.Launch) { l.KeepChildren = true })
		final := s.wait()
		survivor := pids(t, s.stdout())[0]
		left := final.Survivors
		if final.ExitCode == nil || *final.ExitCode != 4 || left == nil || left.Count != 1 || left.Processes[0].PID != survivor || left.Processes[0].Command != "sleep" {
			t.Errorf("%+v, survivors %+v, not %d", final, left, survivor)
		}
		if !alive(survivor) {
			t.Error("it was killed")
		}
		endSurvivor(t, survivor, s.stateOnDisk().CgroupPath)
	})
}

// endSurvivor kills a process that nobody of ours will reap, and removes its cgroup.
func endSurvivor(t *testing.T, pid int, cgroup string) {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "the end of the survivor", func() bool { return !alive(pid) })
	if cgroup != "" {
		wait.For(t, "the end of its cgroup", func() bool { return os.Remove(cgroup) == nil })
	}
}

func TestKeepChildren_AStopEndsThemAll(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, "setsid sleep 1000 & echo $!; exec sleep 1000", way, func(l *shim.Launch) { l.KeepChildren = true })
		child := pids(t, s.waitForOutput("\n"))[0]
		s.stop(time.Hour)
		if final := s.wait(); final.Survivors != nil || alive(child) {
			t.Errorf("%+v, child alive: %t", final, alive(child))
		}
	})
}

func TestUsage_IsOnRecord(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, "echo ready; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; read x", way, withPipe)
		now, err := shimclient.Inspect(t.Context(), s.dir)
		if err != nil || now.Status != banger.StatusRunning {
			t.Errorf("%+v, %v", now, err)
		}
		s.mustSend(nil, "\n", false)
		final := s.wait()
		if u := final.Usage; u.CPUTimeUS <= 0 || u.MemoryPeakBytes <= 0 || u.OOMKills != 0 {
			t.Errorf("%+v", u)
		}
		if s.stateOnDisk().Usage != final.Usage {
			t.Error("the disk has other counters")
		}
	})
}

func TestInspect_HasTheBytesOfThisMoment(t *testing.T) {
	s := sh(t, "echo hello; exec sleep 1000")
	s.waitForOutput("hello\n")
	wait.For(t, "the count of the output", func() bool {
		now, err := shimclient.Inspect(t.Context(), s.dir)
		return err == nil && now.StdoutBytes == int64(len("hello\n"))
	})
}

func TestLimits_ThatCannotBeKeptFailTheLaunch(t *testing.T) {
	s := sh(t, "exit 0", func(l *shim.Launch) { l.Limits.PIDs = 5 })
	if s.state.EndedBy != banger.EndedByLaunch || !strings.Contains(s.state.LaunchMessage, "cgroup") {
		t.Errorf("%+v", s.state)
	}
	root := cgroupRoot(t)
	if root == "" {
		return
	}
	controllers, err := os.ReadFile(root + "/cgroup.controllers")
	if err != nil || strings.Contains(string(controllers), "pids") {
		return // here they can be kept; test/e2e has that
	}
	s = sh(t, "exit 0", withCgroup(root), func(l *shim.Launch) { l.Limits.PIDs = 5 })
	if s.state.EndedBy != banger.EndedByLaunch || !strings.Contains(s.state.LaunchMessage, "no such controller") {
		t.Errorf("%+v", s.state)
	}
}
