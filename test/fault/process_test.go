package fault

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

// What the kernel of a guest does for a session: its cgroup, in a real VM.
func TestFault_ProcessesAreTheSessions(t *testing.T) {
	i := shared.Running(t, bin, "v")
	for _, c := range []struct {
		name string
		test func(t *testing.T, v *guest)
	}{
		{"a kill empties a fork storm", killForkStorm},
		{"a kill finds whoever double-forked", killHiders},
		{"a background child that holds stdout delays no exit", holdStdout},
		{"out of memory is told by the cgroup", runOutOfMemory},
		{"a child that runs out of memory is counted", loseChildToMemory},
		{"processes are limited", limitProcesses},
		{"CPU is limited", limitCPU},
		{"survivors are listed, live, and can be killed", keepAndKill},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, &guest{i, t}) })
	}
}

// guest is the VM v in a test.
type guest struct {
	*installation.Installation
	t *testing.T
}

// start starts a shell script as a session.
func (g *guest) start(name, script string, flags ...string) banger.Session {
	g.t.Helper()
	args := append([]string{"session", "start", "v", "--name", name}, flags...)
	g.MustRun(g.t, append(args, "--", "sh", "-c", script)...)
	return g.show(name)
}

func (g *guest) show(name string) banger.Session {
	g.t.Helper()
	return installation.JSON[banger.Session](g.t, g.Installation, "session", "show", "v", name)
}

// wait returns a session that has ended.
func (g *guest) wait(name string) banger.Session {
	g.t.Helper()
	g.Run(g.t, "session", "wait", "v", name, "--timeout", patience.String())
	return g.show(name)
}

func (g *guest) waitOutput(name, regex string) {
	g.t.Helper()
	g.MustRun(g.t, "session", "wait", "v", name, "--match", regex, "--timeout", patience.String())
}

// sh runs a shell script in the guest, beside all sessions.
func (g *guest) sh(script string) string {
	g.t.Helper()
	return g.MustRun(g.t, "vm", "ssh", "v", "--", script)
}

// checkGone fails the test if a process of a session, or its cgroup, is left.
func (g *guest) checkGone(x banger.Session) {
	g.t.Helper()
	left := g.sh(fmt.Sprintf("grep -lzs BANGER_SESSION_ID=%s /proc/[0-9]*/environ; ls -d /sys/fs/cgroup/banger/%s 2>/dev/null; true", x.ID, x.ID))
	if left != "" {
		g.t.Errorf("session %s has left %s", x.Name, left)
	}
}

func killForkStorm(t *testing.T, v *guest) {
	// It never rests, but has no more than its limit at once.
	x := v.start("storm", "echo begun; f() { (f) & (f) & wait; }; while :; do f 2>/dev/null; done", "--pids", "150")
	v.waitOutput("storm", "begun")
	wait.For(t, "the storm", func() bool {
		n, err := strconv.Atoi(strings.TrimSpace(v.sh("cat /sys/fs/cgroup/banger/" + string(x.ID) + "/pids.current")))
		return err == nil && n > 100
	})
	// Another session reports when the last process has gone, by the guest's clock.
	v.start("witness", "cd /sys/fs/cgroup/banger/"+string(x.ID)+" || exit; echo watching; "+
		"while read key value <cgroup.events && [ $value = 1 ]; do :; done 2>/dev/null; date +%s%N")
	v.waitOutput("witness", "watching")
	v.MustRun(t, "session", "kill", "v", "storm")
	ended := v.show("storm")
	if ended.EndedBy != banger.EndedByKill || ended.ExitSignal != "SIGKILL" || len(ended.StopSteps) != 1 {
		t.Errorf("%+v", ended.SessionState)
	}
	v.wait("witness")
	nanos, err := strconv.ParseInt(strings.TrimSpace(v.MustRun(t, "session", "logs", "v", "witness", "-n", "1")), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the last process had gone %s after the kill; its record is of %s after it",
		time.Unix(0, nanos).Sub(ended.StopSteps[0].At), ended.EndedAt.Sub(ended.StopSteps[0].At))
	v.checkGone(x)
}

func killHiders(t *testing.T, v *guest) {
	x := v.start("hiders", "trap '' TERM HUP; (setsid setsid sleep 1000 & exit) ; setsid sh -c 'trap \"\" TERM; sleep 1000 & echo hidden; wait' >/dev/stdout & wait; wait")
	v.waitOutput("hiders", "hidden")
	v.MustRun(t, "session", "stop", "v", "hiders", "--grace", "100ms")
	if x := v.show("hiders"); x.EndedBy != banger.EndedByStop || x.StopSteps[0].Signal != "SIGTERM" || x.StopSteps[0].By == "" {
		t.Errorf("%+v", x.SessionState)
	}
	v.checkGone(x)
}

func holdStdout(t *testing.T, v *guest) {
	x := v.start("holder", "setsid sleep 1000 & echo last; exit 3")
	ended := v.wait("holder")
	if ended.ExitCode == nil || *ended.ExitCode != 3 || ended.EndedBy != banger.EndedByExit {
		t.Errorf("%+v", ended.SessionState)
	}
	if out := v.MustRun(t, "session", "logs", "v", "holder"); out != "last\n" {
		t.Errorf("the log is %q", out)
	}
	v.checkGone(x)
}

// eat is a program that has more and more memory: a line without an end.
const eat = "tail /dev/zero"

func runOutOfMemory(t *testing.T, v *guest) {
	v.start("eater", "exec "+eat, "--memory", "32M")
	x := v.wait("eater")
	if x.EndedBy != banger.EndedByOOM || x.ExitSignal != "SIGKILL" || x.Usage.OOMKills != 1 {
		t.Errorf("%+v", x.SessionState)
	}
	if peak := x.Usage.MemoryPeakBytes; peak < 16<<20 || peak > 32<<20 {
		t.Errorf("at most it had %d bytes", peak)
	}
	if x.Usage.CPUTimeUS <= 0 {
		t.Errorf("%+v", x.Usage)
	}
}

func loseChildToMemory(t *testing.T, v *guest) {
	v.start("parent", eat+"; echo child $?; exit 5", "--memory", "32M")
	x := v.wait("parent")
	if x.EndedBy != banger.EndedByExit || x.ExitCode == nil || *x.ExitCode != 5 || x.Usage.OOMKills != 1 {
		t.Errorf("%+v", x.SessionState)
	}
}

func limitProcesses(t *testing.T, v *guest) {
	v.start("many", "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo not reached", "--pids", "5")
	x := v.wait("many")
	if log := v.Run(t, "session", "logs", "v", "many"); x.ExitCode == nil || *x.ExitCode == 0 || !strings.Contains(string(log.Stderr), "fork") {
		t.Errorf("%+v: %s", x.SessionState, log)
	}
}

func limitCPU(t *testing.T, v *guest) {
	v.start("busy", "while :; do :; done", "--cpus", "0.1", "--timeout", "3s", "--timeout-grace", "0s")
	x := v.wait("busy")
	life, used := x.EndedAt.Sub(x.StartedAt), time.Duration(x.Usage.CPUTimeUS)*time.Microsecond
	if x.EndedBy != banger.EndedByTimeout || used <= 0 || used > life/4 {
		t.Errorf("it had %s of CPU in %s: %+v", used, life, x.SessionState)
	}
}

func keepAndKill(t *testing.T, v *guest) {
	x := v.start("keeper", "setsid sleep 1000 >/dev/null 2>&1 & while read name </proc/$!/comm && [ $name != sleep ]; do :; done; exit 0", "--keep-children")
	ended := v.wait("keeper")
	if ended.Status != banger.StatusExited || ended.Survivors == nil || ended.Survivors.Count != 1 || ended.Survivors.Processes[0].Command != "sleep" {
		t.Fatalf("%+v, survivors %+v", ended.SessionState, ended.Survivors)
	}
	if name := v.sh(fmt.Sprintf("cat /proc/%d/comm", ended.Survivors.Processes[0].PID)); name != "sleep\n" {
		t.Errorf("the survivor is %q", name)
	}
	v.KillDaemon(t) // nobody's memory is needed
	v.MustRun(t, "session", "kill", "v", "keeper")
	v.checkGone(x)
	if x := v.show("keeper"); x.Survivors != nil || x.Status != banger.StatusExited || x.EndedBy != banger.EndedByExit {
		t.Errorf("%+v, survivors %+v", x.SessionState, x.Survivors)
	}
}
