package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
)

func TestSessionStart_EverythingArrivesByteForByte(t *testing.T) {
	t.Setenv("BANGER_TEST_SECRET", "s$cret\n")
	f := &fake{sessions: []banger.Session{{Name: "job"}}}
	out := f.must(t, "session", "start", "dev", "--name", "a b", "--cwd", "/x\ny", "--env", "A=b=c\n'$(x)'",
		"--env", "BANGER_TEST_SECRET", "--tag", "k=v,w", "--require", "git", "--user", "nobody", "--stdin", "pipe",
		"--idempotency-key", "K", "--log-limit", "64M", "--sync", "--", "sh", "-c", "--json \xff\"", "")
	if out != "job\n" {
		t.Errorf("stdout %q", out)
	}
	want := banger.SessionRequest{
		Launch: banger.Launch{
			Command: "sh", Args: []banger.ByteString{"-c", "--json \xff\"", ""}, Cwd: "/x\ny",
			Env:  map[string]banger.ByteString{"A": "b=c\n'$(x)'", "BANGER_TEST_SECRET": "s$cret\n"},
			User: "nobody", RequiredCommands: []banger.ByteString{"git"}, StdinMode: banger.StdinPipe, LogLimit: 64 << 20, SyncWrites: true,
		},
		Name: "a b", Tags: map[string]string{"k": "v,w"}, IdempotencyKey: "K",
	}
	if diff := cmp.Diff(want, f.started); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestSessionStart_StdinIsClosedUnlessATerminalIsAskedFor(t *testing.T) {
	f := &fake{}
	f.must(t, "session", "start", "dev", "--", "ls")
	if f.started.StdinMode != banger.StdinClosed || f.started.TTY {
		t.Errorf("plain: %+v", f.started)
	}
	f.must(t, "session", "start", "dev", "--tty", "--log-limit", "none", "--", "ls")
	if f.started.LogLimit != banger.NoLogLimit {
		t.Errorf("--log-limit none: %+v", f.started)
	}
	if f.started.StdinMode != banger.StdinPipe || !f.started.TTY {
		t.Errorf("--tty: %+v", f.started)
	}
}

func TestSessionStart_AFailedLaunchIsToldWithItsStageAndKept(t *testing.T) {
	s := banger.Session{Name: "job"}
	s.Status, s.EndedBy = banger.StatusFailed, banger.EndedByLaunch
	s.LaunchStage, s.LaunchMessage, s.LaunchRawLog = banger.StagePreflightCommand, "foo is not in PATH", "line 1\n\x1b[1mline 2\n"
	f := &fake{sessions: []banger.Session{s}}
	r := f.run(t, "", "session", "start", "dev", "--", "foo")
	const want = "banger: cannot launch session \"job\": stage preflight_command: foo is not in PATH\n  | line 1\n  | ^[[1mline 2\n"
	if r.status != 125 || r.stdout != "job\n" || r.stderr != want {
		t.Errorf("%+v", r)
	}
	r = f.run(t, "", "session", "start", "dev", "--json", "--", "foo")
	var got banger.Session
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.LaunchStage != s.LaunchStage || r.status != 125 {
		t.Errorf("--json: %v, %+v", err, r)
	}
}

func TestSessionWait_ExitsWithTheCommandsOwnStatus(t *testing.T) {
	signalled := banger.Session{Name: "job"}
	signalled.ExitSignal, signalled.EndedBy = "SIGKILL", banger.EndedByKill
	realTime := signalled
	realTime.ExitSignal = "SIGRTMIN+6"
	older := signalled
	older.ExitSignal = "SIG40" // as guests before have recorded it
	lost := banger.Session{Name: "job"}
	lost.EndedBy, lost.LastError = banger.EndedByVMLost, "the machine died"
	for _, tt := range []struct {
		session banger.Session
		status  int
		stderr  string
	}{
		{exitedWith(0), 0, ""},
		{exitedWith(3), 3, ""},
		{exitedWith(255), 255, ""},
		{signalled, 137, ""},
		{realTime, 168, ""},
		{older, 168, ""},
		{lost, 125, "banger: session \"job\" ended without an exit status (vm_lost): the machine died\n"},
	} {
		r := (&fake{sessions: []banger.Session{tt.session}}).run(t, "", "session", "wait", "dev", "job")
		if r != (result{tt.status, "", tt.stderr}) {
			t.Errorf("got %+v, want status %d and %q", r, tt.status, tt.stderr)
		}
	}
}

func TestSessionWait_TimeOutExitsWith124(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		r := (&fake{hang: true}).run(t, "", "session", "wait", "dev", "job", "--timeout", "5s")
		if r.status != 124 || time.Since(begun) != 5*time.Second || !strings.Contains(r.stderr, "not ended after 5s") {
			t.Errorf("%+v after %s", r, time.Since(begun))
		}
	})
}

func TestSessionWait_ASignalToTheCLIExitsWith128AndItsNumber(t *testing.T) {
	ctx, stop := WithSignals(t.Context())
	defer stop()
	var stderr bytes.Buffer
	c := CLI{Backend: &signalling{fake: fake{hang: true}}, Stdin: strings.NewReader(""), Stdout: &stderr, Stderr: &stderr}
	if status := c.Run(ctx, []string{"session", "wait", "dev", "job"}); status != 130 {
		t.Errorf("exit status %d, %s", status, stderr.String())
	}
}

// signalling sends this process a SIGINT when a wait has begun.
type signalling struct {
	fake
	banger.SessionService
}

func (s *signalling) Services() Services {
	services := s.fake.services()
	s.SessionService, services.Sessions = services.Sessions, s
	return services
}

func (s *signalling) WaitSession(ctx context.Context, vm, session string) (banger.Session, error) {
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		return banger.Session{}, err
	}
	return s.SessionService.WaitSession(ctx, vm, session)
}

func TestSessionSend_WritesWhatItIsGivenAndNothingElse(t *testing.T) {
	for _, tt := range []struct {
		line, input, sent string
		eof               bool
	}{
		{"session send dev s", "a\x00\xff\r\nb", "a\x00\xff\r\nb", false},
		{"session send dev s --eof", "x", "x", true},
		{"session send dev s --eof --data yz", "not read", "yz", true},
		{"session send dev s --eof --data=", "not read", "", true},
	} {
		f := &fake{}
		r := f.run(t, tt.input, strings.Fields(tt.line)...)
		if r != (result{}) || string(f.sent) != tt.sent || f.sentEOF != tt.eof {
			t.Errorf("%s: %+v, sent %q, eof %t", tt.line, r, f.sent, f.sentEOF)
		}
	}
}

func TestSessionSend_AFailureSaysHowFarItGot(t *testing.T) {
	f := &fake{err: banger.Errorf(banger.CodeUnavailable, "cannot send: the link broke").WithHint("try again")}
	r := f.run(t, "12345", "session", "send", "dev", "s")
	if r.status != 125 || !strings.Contains(r.stderr, "accepted 5 since") || !strings.Contains(r.stderr, "hint: try again") {
		t.Errorf("%+v", r)
	}
}

func TestSessionEnds_CarryTheirFlagsAndWhoAsks(t *testing.T) {
	f := &fake{}
	f.must(t, "session", "stop", "dev", "s")
	f.must(t, "session", "stop", "dev", "s", "--grace", "1m")
	f.must(t, "session", "kill", "dev", "s")
	f.must(t, "session", "rm", "dev", "s", "--force")
	f.must(t, "session", "signal", "dev", "s", "hup", "--all")
	want := []string{"stop-session dev s", "stop-session dev s", "stop-session dev s", "remove-session dev s", "signal-session dev s hup true"}
	if diff := cmp.Diff(want, f.asked); diff != "" || !f.force {
		t.Errorf("force %t, calls %s", f.force, diff)
	}
	by := clientName()
	stops := []banger.StopRequest{{Grace: banger.DefaultStopGrace, By: by}, {Grace: time.Minute, By: by}, {Kill: true, By: by}}
	if diff := cmp.Diff(stops, f.stops); diff != "" {
		t.Errorf("stops %s", diff)
	}
}

func TestSessionStart_TimeAndOtherLimitsArrive(t *testing.T) {
	f := &fake{}
	f.must(t, "session", "start", "dev", "--timeout", "1m30s", "--timeout-grace", "0s", "--keep-children",
		"--memory", "64M", "--cpus", "0.5", "--pids", "10", "--", "x")
	want := banger.Launch{
		Command: "x", Args: []banger.ByteString{}, RequiredCommands: []banger.ByteString{}, StdinMode: banger.StdinClosed, TimeoutMS: 90_000, TimeoutGraceMS: new(int64), KeepChildren: true,
		Limits: banger.Limits{MemoryBytes: 64 << 20, CPUs: 0.5, PIDs: 10},
	}
	if diff := cmp.Diff(want, f.started.Launch); diff != "" {
		t.Error(diff)
	}
	for _, line := range []string{"--timeout -1s", "--timeout-grace 1s", "--cpus -1", "--cpus 0.001", "--pids -1", "--memory 1K"} {
		if r := f.run(t, "", append(append([]string{"session", "start", "dev"}, strings.Fields(line)...), "--", "x")...); r.status == 0 {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

func TestSessionShow_TellsHowItWasStoppedAndWhatItUsed(t *testing.T) {
	s := banger.Session{Name: "job"}
	s.Command, s.Status, s.EndedBy, s.ExitSignal = "foo", banger.StatusFailed, banger.EndedByTimeout, "SIGKILL"
	s.TimeoutMS, s.Limits = 1500, banger.Limits{MemoryBytes: 64 << 20, CPUs: 0.5, PIDs: 10}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.StopSteps = []banger.StopStep{
		{At: at, Signal: "SIGTERM", Cause: banger.EndedByTimeout}, {At: at, Signal: "SIGKILL", Cause: banger.EndedByKill, By: "me\x1b"},
	}
	s.Usage = banger.Usage{CPUTimeUS: 1_234_567, MemoryPeakBytes: 3 << 20, OOMKills: 1}
	s.Survivors = &banger.Survivors{Count: 3, Processes: []banger.Process{{PID: 7, Command: "sle\x1bep"}, {PID: 8, Command: "x"}}}
	out := (&fake{sessions: []banger.Session{s}}).must(t, "session", "show", "dev", "job")
	when := formatTime(at)
	want := "name         job\ncommand      foo\nlimits       time 1.5s, memory 64.0M, cpus 0.5, pids 10\nstatus       failed\nexit         SIGKILL\n" +
		"ended by     timeout\nstopped      " + when + " SIGTERM (timeout)\n             " + when + " SIGKILL (kill) by me^[\n" +
		"survivors    7 sle^[ep\n             8 x\n             and 1 more\ncpu time     1.235s\nmemory peak  3.0M\noom kills    1\n"
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestSessionList_ShowsHarmlessAlignedRows(t *testing.T) {
	s := exitedWith(3)
	s.ID, s.VMID, s.Name = "sid", "vid", "na\x1bme"
	s.Command, s.Args = "sh", banger.ByteStrings([]string{"-c", "exit 3\n"})
	f := &fake{vms: []banger.VM{{ID: "vid", Name: "dev"}}, sessions: []banger.Session{s}}
	out := f.must(t, "session", "list", "dev", "--status", "failed", "--tag", "a=b")
	const want = `VM   NAME    STATUS  EXIT  CREATED  ID   COMMAND
dev  na^[me  failed  3     -        sid  sh -c 'exit 3^J'
`
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	filter := banger.SessionFilter{VM: "dev", Status: banger.StatusFailed, Tags: map[string]string{"a": "b"}}
	if diff := cmp.Diff(filter, f.filter); diff != "" {
		t.Errorf("filter: %s", diff)
	}
}

func TestSessionList_SaysWhereSessionsMayBeMissing(t *testing.T) {
	f := &fake{vms: []banger.VM{{ID: "vid", Name: "dev", SessionsUnknown: true}, {ID: "wid", Name: "whole"}}}
	for args, want := range map[string]bool{"": true, "dev": true, "whole": false} {
		r := f.run(t, "", append([]string{"session", "list"}, strings.Fields(args)...)...)
		if said := strings.Contains(r.stderr, "some sessions of VM dev may be missing"); r.status != 0 || said != want {
			t.Errorf("session list %s: status %d, stderr %q", args, r.status, r.stderr)
		}
	}
}

func TestSessionShow_TellsALaunchThatFailed(t *testing.T) {
	s := banger.Session{Name: "job"}
	s.Command, s.Status, s.EndedBy = "foo", banger.StatusFailed, banger.EndedByLaunch
	s.LaunchStage, s.LaunchRawLog, s.Tags = banger.StageLaunch, "one\ntwo\n", map[string]string{"k": "v"}
	out := (&fake{sessions: []banger.Session{s}}).must(t, "session", "show", "dev", "job")
	const want = `name          job
command       foo
status        failed
exit          launch
ended by      launch
launch stage  launch
launch log    one
              two
tag           k=v
`
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestSessionStart_TakesSecretsFromTheEnvironmentOnly(t *testing.T) {
	t.Setenv("TOKEN", "the value")
	f := &fake{sessions: []banger.Session{{Name: "s"}}}
	f.must(t, "session", "start", "dev", "--secret-env", "TOKEN", "--", "true")
	if got := f.started.SecretEnv["TOKEN"]; got != "the value" || len(f.started.Env) > 0 {
		t.Errorf("got %q, and %v", got, f.started.Env)
	}
	for _, arg := range []string{"TOKEN=other value", "NO_SUCH_TOKEN"} {
		r := f.run(t, "", "session", "start", "dev", "--secret-env", arg, "--", "true")
		if r.status != 2 || !strings.Contains(r.stderr, "your environment") || strings.Contains(r.stderr, "other value") {
			t.Errorf("%s: %+v", arg, r)
		}
	}
}
