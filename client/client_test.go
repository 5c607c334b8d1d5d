package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/client"
	"banger/internal/httpapi/httpapitest"
	"banger/internal/servicetest"
)

// nasty is a ref with bytes that a URL, a path or a terminal takes for its own.
const nasty = "a/../b\n%2F?x#y \xff"

func TestClient_CallsArriveAsTheyWereMade(t *testing.T) {
	fake := &servicetest.Fake{}
	r := newRig(t, fake)
	ctx := t.Context()
	from := int64(9)
	for _, c := range []struct {
		want string
		call func() error
	}{
		{fmt.Sprintf("CreateVM %+v", banger.VMRequest{Name: "dev", CPUs: 2}), func() error {
			_, err := r.CreateVM(ctx, banger.VMRequest{Name: "dev", CPUs: 2})
			return err
		}},
		{"AddRemote {Name:lab SSH:me@lab:22 IdentityFile:/k Answers:{HostKeys:[SHA256:x] Passphrases:map[/k: a b ] AgentSocket:/a}}", func() error {
			_, err := r.AddRemote(ctx, banger.RemoteRequest{Name: "lab", SSH: "me@lab:22", IdentityFile: "/k", Answers: banger.RemoteAnswers{
				HostKeys: []string{"SHA256:x"}, Passphrases: map[string]string{"/k": " a b "}, AgentSocket: "/a",
			}})
			return err
		}},
		{`UnlockRemote "a/../b\n%2F?x#y \xff" {HostKeys:[] Passphrases:map[] AgentSocket:/a}`, func() error {
			_, err := r.UnlockRemote(ctx, nasty, banger.RemoteAnswers{AgentSocket: "/a"})
			return err
		}},
		{"ListVMs", func() error { _, err := r.ListVMs(ctx); return err }},
		{`GetVM "a/../b\n%2F?x#y \xff"`, func() error { _, err := r.GetVM(ctx, nasty); return err }},
		{`GetVM ".."`, func() error { _, err := r.GetVM(ctx, ".."); return err }},
		{`DeleteVM "v" true`, func() error { return r.DeleteVM(ctx, "v", true) }},
		{`DeleteVM "v" false`, func() error { return r.DeleteVM(ctx, "v", false) }},
		{`SetVM "v" autostart true`, func() error {
			on := true
			_, err := r.SetVM(ctx, "v", banger.VMUpdate{Autostart: &on})
			return err
		}},
		{`RenameVM "v" "w"`, func() error { _, err := r.RenameVM(ctx, "v", banger.VMRename{Name: "w"}); return err }},
		{`StartVM "v"`, func() error { _, err := r.StartVM(ctx, "v"); return err }},
		{`StopVM "v" {Kill:true Grace:0s}`, func() error { _, err := r.StopVM(ctx, "v", banger.VMStopRequest{Kill: true}); return err }},
		{`StopVM "v" {Kill:false Grace:0s}`, func() error { _, err := r.StopVM(ctx, "v", banger.VMStopRequest{}); return err }},
		{`StopVM "v" {Kill:false Grace:1ms}`, func() error {
			_, err := r.StopVM(ctx, "v", banger.VMStopRequest{Grace: time.Nanosecond})
			return err
		}},
		{`ConsoleLog "v" 100`, func() error { _, err := r.ConsoleLog(ctx, "v", 100); return err }},
		{`SSHAccess "v"`, func() error { _, err := r.SSHAccess(ctx, "v"); return err }},
		{`StartSession "v" "\xff" ["a\n" ""] map[]`, func() error {
			_, err := r.StartSession(ctx, "v", banger.SessionRequest{Launch: banger.Launch{Command: "\xff", Args: []banger.ByteString{"a\n", ""}}})
			return err
		}},
		{`PageSessions {"v&w" "running" map["a":"b=c"]} "" 0`, func() error {
			_, err := r.ListSessions(ctx, banger.SessionFilter{VM: "v&w", Status: banger.StatusRunning, Tags: map[string]string{"a": "b=c"}})
			return err
		}},
		{`PageSummaries {"" "failed" map[]} "" 0`, func() error {
			_, err := r.SummarizeSessions(ctx, banger.SessionFilter{Status: banger.StatusFailed})
			return err
		}},
		{`PageSessions {"" "" map[]} "17" 3`, func() error { _, _, err := r.PageSessions(ctx, banger.SessionFilter{}, "17", 3); return err }},
		{`GetSession "v" "a/../b\n%2F?x#y \xff"`, func() error { _, err := r.GetSession(ctx, "v", nasty); return err }},
		{`RemoveSession "v" "s" true`, func() error { return r.RemoveSession(ctx, "v", "s", true) }},
		{`PruneSessions "v" map[k:v] 1h0m0s keep 0 bytes 7 dry true`, func() error {
			_, err := r.PruneSessions(ctx, banger.PruneRequest{
				VM: "v", Tags: map[string]string{"k": "v"}, Retention: banger.Retention{OlderThan: time.Hour, Keep: new(int), MaxBytes: 7}, DryRun: true,
			})
			return err
		}},
		{`PruneSessions "" map[] 0s keep -1 bytes 0 dry false`, func() error { _, err := r.PruneSessions(ctx, banger.PruneRequest{}); return err }},
		{`WaitSession "v" "s"`, func() error { _, err := r.WaitSession(ctx, "v", "s"); return err }},
		{`AttachSession "v" "s"`, func() error {
			conn, err := r.DialSession(ctx, "v", "s")
			if err == nil {
				err = conn.Close()
			}
			return err
		}},
		{`MatchSession "v" "s" "a+ \x00" stderr cursor stdout 3, stderr 4`, func() error {
			_, err := r.MatchSession(ctx, "v", "s", banger.MatchRequest{Pattern: "a+ \x00", Stream: banger.StreamStderr, Cursor: &banger.LogCursor{Stdout: 3, Stderr: 4}})
			return err
		}},
		{`SendSession "v" "s" "\xff\n" true`, func() error {
			_, err := r.SendSession(ctx, "v", "s", banger.SendRequest{Data: strings.NewReader("\xff\n"), EOF: true})
			return err
		}},
		{`SendSession "v" "s" "" true`, func() error { _, err := r.SendSession(ctx, "v", "s", banger.SendRequest{EOF: true}); return err }},
		{`StopSession "v" "s" {Kill:false Grace:1.5s By:me & you}`, func() error {
			_, err := r.StopSession(ctx, "v", "s", banger.StopRequest{Grace: 1500 * time.Millisecond, By: "me & you"})
			return err
		}},
		{`SignalSession "v" "s" "HUP" true`, func() error { return r.SignalSession(ctx, "v", "s", banger.SignalRequest{Signal: "HUP", All: true}) }},
		{`InspectSession "v" "s"`, func() error { _, err := r.InspectSession(ctx, "v", "s"); return err }},
		{`ReadLogs "v" "s" both lines 200 from 9 cursor <nil> follow true`, func() error {
			_, err := r.ReadLogs(ctx, "v", "s", banger.LogRequest{Stream: banger.StreamBoth, From: &from, Follow: true}, nil)
			return err
		}},
		{`ReadLogs "v" "s" stderr lines -1 from -1 cursor <nil> follow false`, func() error {
			_, err := r.ReadLogs(ctx, "v", "s", banger.LogRequest{Stream: banger.StreamStderr, Lines: -1}, nil)
			return err
		}},
		{`ReadLogs "v" "s" both lines 200 from -1 cursor <nil> follow true since 1970-01-01 00:00:01.000000002 +0000 UTC until 0001-01-01 00:00:00 +0000 UTC grep "a&b"`, func() error {
			_, err := r.ReadLogs(ctx, "v", "s", banger.LogRequest{Stream: banger.StreamBoth, Follow: true, Since: time.Unix(1, 2), Grep: "a&b"}, nil)
			return err
		}},
		{`ReadLogs "v" "s" both lines 3 from -1 cursor <nil> follow false since 0001-01-01 00:00:00 +0000 UTC until 2026-01-02 03:04:05 +0000 UTC grep ""`, func() error {
			_, err := r.ReadLogs(ctx, "v", "s", banger.LogRequest{Stream: banger.StreamBoth, Lines: 3, Until: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, nil)
			return err
		}},
		{"SearchSessions {Pattern:a&b VMs:[v w&] Status:failed Tags:map[k:x=y] Stream:stderr Since:1970-01-01 00:00:01 +0000 UTC Until:0001-01-01 00:00:00 +0000 UTC Limit:7}", func() error {
			_, err := r.SearchSessions(ctx, banger.SearchRequest{
				Pattern: "a&b", VMs: []string{"v", "w&"}, Status: banger.StatusFailed, Tags: map[string]string{"k": "x=y"},
				Stream: banger.StreamStderr, Since: time.Unix(1, 0), Limit: 7,
			}, nil)
			return err
		}},
		{`BuildImage "default" {"trixie" ["vim"] ""}`, func() error {
			_, err := r.BuildImage(ctx, "default", banger.ImageRecipe{Suite: "trixie", Include: []string{"vim"}}, nil)
			return err
		}},
		{`PullImage "node:22" "linux/amd64" "n"`, func() error {
			_, err := r.PullImage(ctx, banger.PullRequest{Reference: "node:22", Platform: "linux/amd64", Name: "n"}, nil)
			return err
		}},
		{`ImportImage "/a b" "" ""`, func() error { _, err := r.ImportImage(ctx, banger.ImportRequest{Path: "/a b"}, nil); return err }},
		{`TagImage "ghcr.io/a/b:1" "x/y:2"`, func() error { _, err := r.TagImage(ctx, "ghcr.io/a/b:1", banger.TagRequest{Name: "x/y:2"}); return err }},
		{"PruneImages false true", func() error { _, err := r.PruneImages(ctx, banger.ImagePruneRequest{DryRun: true}); return err }},
		{"ListImages", func() error { _, err := r.ListImages(ctx); return err }},
		{`GetImage "i"`, func() error { _, err := r.GetImage(ctx, "i"); return err }},
		{`DeleteImage "i"`, func() error { return r.DeleteImage(ctx, "i") }},
		{"Doctor false", func() error { _, err := r.Doctor(ctx, false); return err }},
		{"Doctor true", func() error { _, err := r.Doctor(ctx, true); return err }},
		{"ListTrash", func() error { _, err := r.ListTrash(ctx); return err }},
		{"EmptyTrash", func() error { _, err := r.EmptyTrash(ctx); return err }},
		{"Info", func() error { _, err := r.Info(ctx); return err }},
		{"Shutdown", func() error { return r.Shutdown(ctx) }},
	} {
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.want, err)
		}
		if got := fake.Calls(); !slices.Equal(got, []string{c.want}) {
			t.Errorf("arrived as %q, want %q", got, c.want)
		}
	}
}

func TestClient_AnswersComeBackWhole(t *testing.T) {
	code := 3
	fake := &servicetest.Fake{
		VM:      banger.VM{ID: "v", Name: "dev", State: banger.VMRunning, CreatedAt: time.Unix(1, 5).UTC()},
		Session: banger.Session{ID: "s", Launch: banger.Launch{Args: []banger.ByteString{"\xff", "a\n"}}, SessionState: banger.SessionState{ExitCode: &code}},
		Image:   banger.Image{ID: "i", Recipe: banger.ImageRecipe{Suite: "bookworm"}},
	}
	fake.Console, fake.Access = []byte("boot\r\n\xff"), banger.SSHAccess{User: "root", Host: "127.0.0.1", Port: 2222}
	r := newRig(t, fake)
	vms, err := r.ListVMs(t.Context())
	wantEqual(t, vms, []banger.VM{fake.VM}, err)
	session, err := r.GetSession(t.Context(), "v", "s")
	wantEqual(t, session, fake.Session, err)
	image, err := r.BuildImage(t.Context(), "default", banger.ImageRecipe{}, nil)
	wantEqual(t, image, fake.Image, err)
	log, err := r.ConsoleLog(t.Context(), "v", 100)
	wantEqual(t, log, []byte("boot\r\n\xff"), err)
	access, err := r.SSHAccess(t.Context(), "v")
	wantEqual(t, access, banger.SSHAccess{User: "root", Host: "127.0.0.1", Port: 2222}, err)
	sent, err := r.SendSession(t.Context(), "v", "s", banger.SendRequest{Data: strings.NewReader("abc")})
	wantEqual(t, sent, banger.SendResult{Offset: 3}, err)
}

// A login takes a while: what it is at arrives as it begins, and an error behind it whole.
func TestClient_StepsOfALoginArrive(t *testing.T) {
	fake := &servicetest.Fake{VM: banger.VM{ID: "v", Name: "lab"}, Steps: []string{"connecting to lab", "not used: /a: \x1b[2J"}}
	r := newRig(t, fake)
	var got []string
	ctx := banger.WithSteps(t.Context(), func(step string) { got = append(got, step) })
	vm, err := r.AddRemote(ctx, banger.RemoteRequest{Name: "lab", SSH: "lab"})
	wantEqual(t, vm, fake.VM, err)
	wantEqual(t, got, fake.Steps, nil)
	asked := banger.Errorf(banger.CodeQuestion, "the host key is not known").WithHint("compare it")
	asked.Question = &banger.Question{Kind: banger.AskHostKey, Subject: "lab"}
	fake.Err = asked
	_, err = r.AddRemote(ctx, banger.RemoteRequest{Name: "lab", SSH: "lab"})
	if e, ok := errors.AsType[*banger.Error](err); !ok || e.Code != banger.CodeQuestion || e.Question == nil || e.Hint != "compare it" {
		t.Errorf("%#v", err)
	}
}

func wantEqual(t *testing.T, got, want any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

func TestClient_ErrorsComeBackWhole(t *testing.T) {
	want := banger.Errorf(banger.CodeAmbiguous, "cannot tell which").WithHint("say more")
	want.Candidates = []string{"a", "b"}
	want.Question = &banger.Question{Kind: banger.AskPassphrase, Subject: "/k", Again: true}
	r := newRig(t, &servicetest.Fake{Err: want})
	for name, call := range map[string]func() error{
		"add":    func() error { _, err := r.AddRemote(t.Context(), banger.RemoteRequest{}); return err },
		"unlock": func() error { _, err := r.UnlockRemote(t.Context(), "x", banger.RemoteAnswers{}); return err },
		"call":   func() error { _, err := r.GetVM(t.Context(), "x"); return err },
		"wait":   func() error { _, err := r.WaitSession(t.Context(), "x", "y"); return err },
		"logs":   func() error { _, err := r.ReadLogs(t.Context(), "x", "y", banger.LogRequest{}, nil); return err },
		"events": func() error { return r.WatchEvents(t.Context(), 0, nil) },
		"search": func() error {
			_, err := r.SearchSessions(t.Context(), banger.SearchRequest{}, nil)
			return err
		},
		"build": func() error { _, err := r.BuildImage(t.Context(), "x", banger.ImageRecipe{}, nil); return err },
	} {
		got, ok := errors.AsType[*banger.Error](call())
		if !ok || got.Code != want.Code || got.Message != want.Message || got.Hint != want.Hint || !slices.Equal(got.Candidates, want.Candidates) ||
			got.Question == nil || *got.Question != *want.Question {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestClient_SendErrorSaysWhatWasAccepted(t *testing.T) {
	r := newRig(t, &servicetest.Fake{OnSend: func(context.Context, banger.SendRequest) (banger.SendResult, error) {
		return banger.SendResult{Offset: 7}, banger.Errorf(banger.CodeState, "cannot send")
	}})
	got, err := r.SendSession(t.Context(), "v", "s", banger.SendRequest{Data: strings.NewReader("abc")})
	wantCode(t, err, banger.CodeState)
	if got.Offset != 7 {
		t.Errorf("accepted %+v", got)
	}
}

// TestClient_SendErrorDoesNotWaitForInput has data that continue for ever, as those
// of a terminal do.
func TestClient_SendErrorDoesNotWaitForInput(t *testing.T) {
	r := newRig(t, &servicetest.Fake{OnSend: func(context.Context, banger.SendRequest) (banger.SendResult, error) {
		return banger.SendResult{}, banger.Errorf(banger.CodeNotFound, "cannot find session")
	}})
	data, terminal := io.Pipe()
	defer terminal.Close()
	_, err := r.SendSession(t.Context(), "v", "s", banger.SendRequest{Data: data})
	wantCode(t, err, banger.CodeNotFound)
}

func TestClient_SendIsTakenAsItComes(t *testing.T) {
	taken := make(chan string)
	r := newRig(t, &servicetest.Fake{OnSend: func(_ context.Context, r banger.SendRequest) (banger.SendResult, error) {
		buffer := make([]byte, 100)
		for {
			n, err := r.Data.Read(buffer)
			if n > 0 {
				taken <- string(buffer[:n])
			}
			if err != nil {
				return banger.SendResult{}, nil
			}
		}
	}})
	data, terminal := io.Pipe()
	go func() {
		for _, line := range []string{"one\n", "two\n"} {
			_, _ = io.WriteString(terminal, line)
			if got := <-taken; got != line { // before the next line is typed
				t.Errorf("taken %q, want %q", got, line)
			}
		}
		_ = terminal.Close()
	}()
	if _, err := r.SendSession(t.Context(), "v", "s", banger.SendRequest{Data: data}); err != nil {
		t.Fatal(err)
	}
}

func TestClient_NoDaemon(t *testing.T) {
	c := client.New(filepath.Join(t.TempDir(), "s"), version)
	for _, call := range []func() error{
		func() error { _, err := c.ListVMs(t.Context()); return err },
		func() error { _, err := c.WaitSession(t.Context(), "v", "s"); return err },
	} {
		err := call()
		wantCode(t, err, banger.CodeUnavailable)
		if e, _ := errors.AsType[*banger.Error](err); !strings.Contains(e.Hint, "banger daemon run") {
			t.Errorf("hint %q", e.Hint)
		}
	}
}

func TestClient_EmptyRefIsRefused(t *testing.T) {
	_, err := newRig(t, &servicetest.Fake{}).GetVM(t.Context(), "")
	wantCode(t, err, banger.CodeInvalid)
}

func TestClient_OtherVersion(t *testing.T) {
	r := newRig(t, &servicetest.Fake{})
	old := client.New(r.socket, "v2.0.0")
	_, err := old.ListVMs(t.Context())
	wantCode(t, err, banger.CodeMismatch)
	if _, err := old.Info(t.Context()); err != nil {
		t.Errorf("the daemon does not even say what it is: %v", err)
	}
	if err := old.Shutdown(t.Context()); err != nil {
		t.Errorf("the daemon cannot be ended: %v", err)
	}
}

func TestClient_SomethingElseListens(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
	}()
	_, err = client.New(socket, version).Info(t.Context())
	wantCode(t, err, banger.CodeMismatch)
}

func TestClient_DialerStartsTheDaemon(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	daemon := httpapitest.NewDaemon(t, socket, version)
	dialed := 0
	c := client.New(socket, version, client.WithDialer(func(ctx context.Context) (net.Conn, error) {
		if dialed++; dialed == 1 {
			daemon.Start(&servicetest.Fake{})
		}
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}))
	if _, err := c.ListVMs(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestClient_DialerErrorKeepsItsCode(t *testing.T) {
	c := client.New("/nowhere", version, client.WithDialer(func(context.Context) (net.Conn, error) {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot use store").WithHint("put back a copy")
	}))
	_, err := c.WaitSession(t.Context(), "v", "s")
	wantCode(t, err, banger.CodeCorrupt)
	if e, _ := errors.AsType[*banger.Error](err); e.Hint != "put back a copy" {
		t.Errorf("hint %q", e.Hint)
	}
}

func TestClient_EndsWithItsContext(t *testing.T) {
	waiting := make(chan struct{}, 1)
	r := newRig(t, &servicetest.Fake{OnWait: func(ctx context.Context) (banger.Session, error) {
		waiting <- struct{}{}
		<-ctx.Done()
		return banger.Session{}, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-waiting; cancel() }()
	if _, err := r.WaitSession(ctx, "v", "s"); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	limited, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := r.WaitSession(limited, "v", "s")
	wantCode(t, err, banger.CodeTimeout)
}

func TestClient_ListsReadEveryPage(t *testing.T) {
	fake := &servicetest.Fake{Session: banger.Session{ID: "s"}, Next: "7"}
	r := newRig(t, fake)
	sessions, err := r.ListSessions(t.Context(), banger.SessionFilter{VM: "v"})
	if err != nil || len(sessions) != 2 {
		t.Errorf("%v, %v", sessions, err)
	}
	summaries, err := r.SummarizeSessions(t.Context(), banger.SessionFilter{VM: "v"})
	if err != nil || len(summaries) != 2 {
		t.Errorf("%v, %v", summaries, err)
	}
	want := []string{
		`PageSessions {"v" "" map[]} "" 0`, `PageSessions {"v" "" map[]} "7" 0`,
		`PageSummaries {"v" "" map[]} "" 0`, `PageSummaries {"v" "" map[]} "7" 0`,
	}
	if got := fake.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}
