package remote

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
	"banger/test/wait"
)

// A host that cannot be reached is that since a time; nothing else is said of it, and
// its sessions continue and are found again.
func TestRemote_AHostThatIsAwayIsUnreachableAndNothingIsGuessed(t *testing.T) {
	r := newRig(t, hosttest.SSHOptions{})
	r.mustAdd()
	r.start("job", `while read line; do echo "$line"; done; exit 5`)
	r.send("job", "before\n", false)
	followed, begun := make(chan string, 1), make(chan banger.LogChunk, 16)
	go func() {
		var text strings.Builder
		_, err := r.ReadLogs(t.Context(), "v", "job", banger.LogRequest{Stream: banger.StreamStdout, Lines: -1, Follow: true}, func(c banger.LogChunk) error {
			text.Write(c.Data)
			begun <- c
			return nil
		})
		followed <- text.String() + errorText(err)
	}()
	<-begun
	away := time.Now()
	r.server.Close()
	wait.For(t, "the host to be unreachable", func() bool { return !r.vm().UnreachableSince.IsZero() })
	vm := r.vm()
	if vm.State != banger.VMRunning || vm.UnreachableSince.Before(away) || vm.LastError == "" {
		t.Errorf("%+v", vm)
	}
	if x := r.session("job"); x.Status != banger.StatusRunning {
		t.Errorf("its session is guessed to be %+v", x.SessionState)
	}
	r.checkUnreachable()

	// A daemon that begins meanwhile knows as much.
	r.host.Restart()
	r.Client = r.host.Client()
	wait.For(t, "the next daemon to have tried", func() bool { return r.vm().LastError != "" })
	if x, since := r.session("job"), r.vm().UnreachableSince; x.Status != banger.StatusRunning || !since.Equal(vm.UnreachableSince) {
		t.Errorf("the next daemon says %+v, unreachable since %s, not %s", x.SessionState, since, vm.UnreachableSince)
	}

	r.server.Open()
	wait.For(t, "the host to be back", func() bool { return r.vm().UnreachableSince.IsZero() })
	r.send("job", "after\n", true)
	if x := r.wait("job"); x.ExitCode == nil || *x.ExitCode != 5 {
		t.Errorf("%+v", x.SessionState)
	}
	if got := r.log("job"); got != "before\nafter\n" {
		t.Errorf("the log is %q", got)
	}
	if got := <-followed; got != "before\nafter\n" {
		t.Errorf("who followed it has %q", got)
	}
}

// Who asks for a log while its host is away waits for it, also while the daemon is
// replaced, and gets what was asked for, once.
func TestRemote_AFollowerOfAHostThatIsAwayOutlastsTheDaemon(t *testing.T) {
	r := newRig(t, hosttest.SSHOptions{})
	r.mustAdd()
	r.start("job", `while read line; do echo "$line"; done`)
	r.send("job", "one\ntwo\n", false)
	r.server.Close()
	wait.For(t, "the host to be unreachable", func() bool { return !r.vm().UnreachableSince.IsZero() })

	requests := map[string]banger.LogRequest{
		"one\ntwo\nthree\n": {Lines: -1}, "two\nthree\n": {From: new(int64(4))}, "three\n": {Cursor: &banger.LogCursor{Stdout: 8}},
	}
	const each = 5
	var following sync.WaitGroup
	defer following.Wait()
	follower := r.Client
	for want, request := range requests {
		request.Stream, request.Follow = banger.StreamStdout, true
		for range each {
			following.Go(func() {
				var text strings.Builder
				_, err := follower.ReadLogs(t.Context(), "v", "job", request, func(c banger.LogChunk) error {
					text.Write(c.Data)
					return nil
				})
				if got := text.String() + errorText(err); got != want {
					t.Errorf("a follower has %q, not %q", got, want)
				}
			})
		}
	}
	wait.For(t, "the daemon to have all requests", func() bool { return waitingForLink() == len(requests)*each })
	r.host.Restart()
	r.Client = r.host.Client()
	r.server.Open()
	r.send("job", "three\n", true)
}

// waitingForLink returns how many calls of this process's daemon wait for a link.
func waitingForLink() int {
	stacks := make([]byte, 4<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "guest.(*link).wait(")
}

func errorText(err error) string {
	if err != nil {
		return " and " + err.Error()
	}
	return ""
}

// checkUnreachable checks that what needs the host fails at once and says why.
func (r *rig) checkUnreachable() {
	r.t.Helper()
	x, err := r.StartSession(r.t.Context(), "v", banger.SessionRequest{Name: "late", Launch: banger.Launch{Command: "true"}})
	if err != nil || x.EndedBy != banger.EndedByLaunch || x.LaunchStage != banger.StageSSHUnavailable || !strings.Contains(x.LaunchMessage, "has not answered since") {
		r.t.Errorf("start on a host that is away: %+v, %v", x.SessionState, err)
	}
	_, stopErr := r.StopSession(r.t.Context(), "v", "job", banger.StopRequest{Grace: time.Second})
	_, logErr := r.ReadLogs(r.t.Context(), "v", "job", banger.LogRequest{Lines: 10}, func(banger.LogChunk) error { return nil })
	for what, err := range map[string]error{
		"stop": stopErr, "logs": logErr,
		"signal": r.SignalSession(r.t.Context(), "v", "job", banger.SignalRequest{Signal: "HUP"}),
	} {
		if banger.CodeOf(err) != banger.CodeUnavailable || !strings.Contains(err.Error(), "has not answered since") {
			r.t.Errorf("%s of a host that is away: %v", what, err)
		}
	}
}

// The host has been rebooted: its sessions have ended with that, at a time that is
// told, and nobody takes another process for one of them.
func TestRemote_ARebootedHostsSessionsAreLost(t *testing.T) {
	const bootID = "11111111-2222-4333-8444-555555555555\n"
	r := newRig(t, hosttest.SSHOptions{Setup: `[ -e "$dir/boot_id" ] && mount --bind "$dir/boot_id" /proc/sys/kernel/random/boot_id || :`})
	r.mustAdd()
	r.start("job", "echo begun; read x")
	ended := r.start("ended", "exit 4")
	r.wait("ended")
	if _, err := r.MatchSession(t.Context(), "v", "job", banger.MatchRequest{Pattern: "begun"}); err != nil {
		t.Fatal(err)
	}
	before := r.vm().BootID
	r.server.Close()
	r.server.KillProcesses("")
	if err := os.WriteFile(filepath.Join(r.server.Dir, "boot_id"), []byte(bootID), 0o644); err != nil {
		t.Fatal(err)
	}
	r.server.Open()
	x := r.wait("job")
	if x.EndedBy != banger.EndedByVMLost || x.Status != banger.StatusFailed || x.ExitCode != nil || x.StdoutBytes != 6 {
		t.Errorf("%+v", x.SessionState)
	}
	if y := r.session("ended"); y.ExitCode == nil || *y.ExitCode != 4 || y.ID != ended.ID {
		t.Errorf("the exit record of before the boot is %+v", y.SessionState)
	}
	if got := r.log("job"); got != "begun\n" {
		t.Errorf("its log is %q", got)
	}
	if after := r.vm().BootID; after == before || after != strings.TrimSpace(bootID) {
		t.Errorf("boot id %q, then %q", before, after)
	}
}

// Two daemons add one host at the same time: both upload, one version is there, and
// neither sees the other's sessions as its own.
func TestRemote_TwoDaemonsBringTheAgentAtOnce(t *testing.T) {
	server := hosttest.NewSSHServer(t, hosttest.SSHOptions{})
	var rigs []*rig
	for range 2 {
		r := &rig{t: t, server: server}
		home := t.TempDir()
		r.target = hosttest.NewSSHHome(t, home, server)
		r.host = hosttest.NewWith(t, bin, hosttest.Options{Home: home})
		r.Client = r.host.Client()
		rigs = append(rigs, r)
	}
	added := make(chan error, len(rigs))
	for _, r := range rigs {
		go func() { added <- r.add() }()
	}
	for range rigs {
		if err := <-added; err != nil {
			t.Fatal(err)
		}
	}
	if versions := versionsIn(t, server.AgentDir()); len(versions) != 1 {
		t.Errorf("versions on the host: %v", versions)
	}
	if uploads, _ := filepath.Glob(filepath.Join(server.AgentDir(), ".new-*")); len(uploads) != 0 {
		t.Errorf("uploads are left: %v", uploads)
	}
	for n, r := range rigs {
		r.start("job", "exit "+string(rune('1'+n)))
		if x := r.wait("job"); x.ExitCode == nil || *x.ExitCode != n+1 {
			t.Errorf("%+v", x.SessionState)
		}
		if all, err := r.ListSessions(t.Context(), banger.SessionFilter{}); err != nil || len(all) != 1 {
			t.Errorf("it sees %d sessions, %v", len(all), err)
		}
	}
}

// A daemon of another build brings its own agent, continues with the sessions whose shims
// are of the build before, and removes that when nothing of it runs.
func TestRemote_AnOldVersionGoesWhenNothingRunsIt(t *testing.T) {
	r := newRig(t, hosttest.SSHOptions{})
	r.mustAdd()
	first := versionsIn(t, r.server.AgentDir())
	r.start("job", `while read line; do echo "$line"; done; exit 6`)
	r.converse("job", 0, "one")

	r.host.Upgrade(otherBuild(t, "second"))
	r.Client = r.host.Client()
	r.converse("job", 4, "two")
	if got := versionsIn(t, r.server.AgentDir()); len(got) != 2 {
		t.Errorf("while its shim runs, the versions are %v", got)
	}
	r.send("job", "", true)
	if x := r.wait("job"); x.ExitCode == nil || *x.ExitCode != 6 {
		t.Errorf("%+v", x.SessionState)
	}
	wait.For(t, "the end of the shim, beside the one that waits", func() bool { return len(r.server.Processes("\x00banger-shim\x00")) == 1 })

	r.host.Upgrade(otherBuild(t, "third"))
	r.Client = r.host.Client()
	wait.For(t, "the third version", func() bool { return len(r.server.Processes("--announce")) == 1 && r.vm().UnreachableSince.IsZero() })
	r.start("last", "exit 0")
	r.wait("last")
	for _, path := range versionsIn(t, r.server.AgentDir()) {
		if path == first[0] {
			t.Errorf("%s is left", path)
		}
	}
}

// otherBuild returns programs that do the same and are other files.
func otherBuild(t *testing.T, mark string) hosttest.Binaries {
	t.Helper()
	dir := t.TempDir()
	other := hosttest.Binaries{Agent: filepath.Join(dir, "banger-agent"), Shim: filepath.Join(dir, "banger-shim")}
	for to, from := range map[string]string{other.Agent: bin.Agent, other.Shim: bin.Shim} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, append(data, mark...), 0o700) // what follows an ELF file is nobody's
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return other
}

// A host is forgotten, not touched.
func TestRemote_DeleteForgetsTheHostAndLeavesItAlone(t *testing.T) {
	r := newRig(t, hosttest.SSHOptions{})
	r.mustAdd()
	x := r.start("job", "read x")
	if _, err := r.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Second}); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("stop: %v", err)
	}
	if _, err := r.StartVM(t.Context(), "v"); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("start: %v", err)
	}
	if err := r.DeleteVM(t.Context(), "v", false); banger.CodeOf(err) != banger.CodeInUse {
		t.Errorf("delete while a session runs: %v", err)
	}
	if err := r.DeleteVM(t.Context(), "v", true); err != nil {
		t.Fatal(err)
	}
	if vms, err := r.ListVMs(t.Context()); err != nil || len(vms) != 0 {
		t.Errorf("%+v, %v", vms, err)
	}
	if _, err := os.Stat("/proc/" + itoa(x.GuestPID)); err != nil {
		t.Errorf("the session's command: %v", err)
	}
	// Who adds it again does not find what is not on record, and takes nothing over.
	r.mustAdd()
	if all, err := r.ListSessions(t.Context(), banger.SessionFilter{}); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
