package control_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/test/wait"
)

func TestLaunch_OnAWarmLinkIsOneRequestAndOneAnswer(t *testing.T) {
	l := serve(t, sessions(t))
	l.list()
	l.mu.Lock()
	sent, received := l.sent, l.received
	l.mu.Unlock()
	s := l.start(banger.StdinClosed, "sleep", "60")
	l.list() // whatever was sent for the launch lies before this answer
	l.mu.Lock()
	sent, received = l.sent-sent-1, l.received-received-1
	l.mu.Unlock()
	t.Logf("a session start took %d request and %d answer", sent, received)
	if sent != 1 || received != 1 {
		t.Errorf("%d messages to the guest and %d back, want 1 and 1", sent, received)
	}
	if s.GuestPID == 0 || s.StartedAt.IsZero() || s.GuestStateDir == "" {
		t.Errorf("the answer is %+v", s)
	}
}

func TestSession_ExitStatusAndOutputAreExact(t *testing.T) {
	l := serve(t, sessions(t))
	s := l.start(banger.StdinClosed, "sh", "-c", "echo out; echo err >&2; exit 3")
	end := l.awaitEnd(s.ID)
	if end.Status != banger.StatusFailed || end.ExitCode == nil || *end.ExitCode != 3 || end.EndedBy != banger.EndedByExit {
		t.Errorf("the end is %+v", end)
	}
	if out, errs := l.output(s.ID, banger.StreamStdout), l.output(s.ID, banger.StreamStderr); out != "out\n" || errs != "err\n" {
		t.Errorf("output is %q and %q", out, errs)
	}
	if end.StdoutBytes != 4 || end.StderrBytes != 4 {
		t.Errorf("the end counts %d and %d bytes", end.StdoutBytes, end.StderrBytes)
	}
}

func TestLaunch_OfWhatTheKernelRefusesIsARecordedSession(t *testing.T) {
	l := serve(t, sessions(t))
	path := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(path, []byte("\x7fELFgarbage"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := l.launch(launchOf(banger.StdinClosed, path))
	if s.Status != banger.StatusFailed || s.LaunchStage != banger.StageLaunch || !strings.Contains(s.LaunchRawLog, "exec format error") {
		t.Errorf("the session is %+v", s)
	}
}

func TestLaunch_WithoutAShimIsARecordedSession(t *testing.T) {
	t.Setenv(shimVariable, "/no/such/shim")
	l := serve(t, sessions(t))
	s := l.launch(launchOf(banger.StdinClosed, "true"))
	if s.Status != banger.StatusFailed || s.LaunchStage != banger.StageLaunch || !strings.Contains(s.LaunchRawLog, "/no/such/shim") {
		t.Errorf("the session is %+v", s)
	}
}

func TestLaunch_OfOneIDStartsOneCommand(t *testing.T) {
	dir := sessions(t)
	links := []*link{serve(t, dir), serve(t, dir)} // an old link and a new one
	marks := filepath.Join(t.TempDir(), "marks")
	g := launchOf(banger.StdinClosed, "sh", "-c", "echo started >> "+marks+"; exec sleep 60")
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			s := links[i%2].launch(g)
			if s.ID != g.ID || s.Status.Ended() {
				t.Errorf("the session is %+v", s)
			}
		})
	}
	wg.Wait()
	wait.For(t, "the command to start", func() bool { info, err := os.Stat(marks); return err == nil && info.Size() > 0 })
	again := links[1].launch(g)
	if again.Status != banger.StatusRunning {
		t.Errorf("launched once more, it is %+v", again)
	}
	if data, err := os.ReadFile(marks); string(data) != "started\n" || err != nil {
		t.Errorf("the command was started so often: %q, %v", data, err)
	}
}

func TestLaunch_RefusesWhatNoDaemonSends(t *testing.T) {
	l := serve(t, sessions(t))
	for name, change := range map[string]func(*guestapi.GuestLaunch){
		"no id":      func(g *guestapi.GuestLaunch) { g.ID = "" },
		"a path":     func(g *guestapi.GuestLaunch) { g.ID = "../../../../etc/xy" },
		"NUL":        func(g *guestapi.GuestLaunch) { g.Args = []banger.ByteString{"a\x00b"} },
		"env name":   func(g *guestapi.GuestLaunch) { g.Env = map[string]banger.ByteString{"A B": ""} },
		"no stdin":   func(g *guestapi.GuestLaunch) { g.StdinMode = "" },
		"relative":   func(g *guestapi.GuestLaunch) { g.Cwd = "tmp" },
		"no command": func(g *guestapi.GuestLaunch) { g.Command = "" },
	} {
		g := launchOf(banger.StdinClosed, "true")
		change(&g)
		if err := l.call(t.Context(), guestrpc.MethodLaunch, g, nil); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list := l.list(); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}

func TestAbandon_MakesSureThatALaunchNeverHappens(t *testing.T) {
	l := serve(t, sessions(t))
	g := launchOf(banger.StdinClosed, "sleep", "60")
	var s guestapi.GuestSession
	l.must(guestrpc.MethodAbandon, guestrpc.IDParams{ID: g.ID}, &s)
	if s.Status != banger.StatusFailed || s.EndedBy != banger.EndedByLaunch || s.LaunchStage != banger.StageDialGuest {
		t.Errorf("abandoned, it is %+v", s)
	}
	if late := l.launch(g); late.Status != banger.StatusFailed || late.Sequence != s.Sequence {
		t.Errorf("launched late, it is %+v", late)
	}
	running := l.start(banger.StdinClosed, "sleep", "60")
	l.must(guestrpc.MethodAbandon, guestrpc.IDParams{ID: running.ID}, &s)
	if s.Status != banger.StatusRunning || s.GuestPID != running.GuestPID {
		t.Errorf("it ran, and is now %+v", s)
	}
}
