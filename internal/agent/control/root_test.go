//go:build !unit

package control_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strconv"
	"syscall"

	"sync"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/sessiondir"
	"banger/test/wait"
)

// TestSession_LostShimEndsOnlyItsSession also proves that nothing of the session
// runs on: neither the command nor what has left its process group.
func TestSession_LostShimEndsOnlyItsSession(t *testing.T) {
	for _, cgroup := range []string{"", testCgroup(t)} {
		t.Run("cgroup="+cgroup, func(t *testing.T) {
			t.Setenv(cgroupVariable, cgroup)
			l := serve(t, sessions(t))
			other := l.start(banger.StdinClosed, "sleep", "60")
			s := l.start(banger.StdinPipe, "sh", "-c", "setsid sleep 61 > /dev/null 2>&1 & echo $!; read x; echo $x; read y")
			l.write(s.ID, "hi\n", false)
			var out string
			wait.For(t, "output", func() bool {
				page, err := l.read(t.Context(), guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamStdout, MaxBytes: 100})
				if err != nil {
					t.Fatal(err)
				}
				out = pageText(page)
				return strings.HasSuffix(out, "hi\n")
			})
			straggler, err := strconv.Atoi(strings.Fields(out)[0])
			if err != nil || !alive(straggler) {
				t.Fatalf("there is no straggler in %q", out)
			}
			if err := syscall.Kill(parent(t, s.GuestPID), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			end := l.awaitEnd(s.ID)
			if end.Status != banger.StatusFailed || end.EndedBy != banger.EndedByShimLost || end.ExitCode != nil || end.LastError == "" {
				t.Errorf("the end is %+v", end)
			}
			if end.StdinOffset != 3 || end.StdoutBytes != int64(len(out)) {
				t.Errorf("stdin is at %d and stdout at %d, want 3 and %d", end.StdinOffset, end.StdoutBytes, len(out))
			}
			wait.For(t, "everything to be dead", func() bool { return !alive(straggler) && !alive(s.GuestPID) })
			if got := l.output(s.ID, banger.StreamStdout); got != out {
				t.Errorf("the output is %q, want %q", got, out)
			}
			if list := l.list(); list[other.ID].Status != banger.StatusRunning || list[s.ID].EndedBy != banger.EndedByShimLost {
				t.Errorf("the sessions are %+v", list)
			}
		})
	}
}

// TestLaunch_ArgumentsAndEnvironmentArriveByteForByte lets the kernel say what
// the command was started with.
func TestLaunch_ArgumentsAndEnvironmentArriveByteForByte(t *testing.T) {
	l := serve(t, sessions(t))
	odd := []string{"", " ", "'\"`", "$(touch /tmp/owned) ${HOME}", "new\nline\r\t", "\xff\xfe not UTF-8", "-n", "*", "\\", "ünï", "\x01\x1b[31m"}
	g := launchOf(banger.StdinClosed, "sh", append([]string{"-c", "cat /proc/$$/cmdline; printf '\\0--\\0'; cat /proc/$$/environ; true", "name"}, odd...)...)
	g.Name = "a $(name)\n'"
	g.Env = map[string]banger.ByteString{}
	for i, value := range odd {
		g.Env[fmt.Sprintf("ODD_%d", i)] = banger.ByteString(value)
	}
	g.Env["LANG"] = "POSIX"
	s := l.launch(g)
	arguments, variables, _ := strings.Cut(l.output(s.ID, banger.StreamStdout), "\x00\x00--\x00")
	if want := strings.Join(append([]string{"sh"}, banger.Strings(g.Args)...), "\x00"); arguments != want {
		t.Errorf("arguments are %q, want %q", arguments, want)
	}
	got := map[string]bool{}
	for v := range strings.SplitSeq(variables, "\x00") {
		got[v] = true
	}
	for _, want := range []string{"HOME=/root", "USER=root", "LOGNAME=root", "LANG=POSIX", "BANGER_SESSION_ID=" + string(s.ID),
		"BANGER_SESSION_NAME=a $(name)\n'", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} {
		if !got[want] {
			t.Errorf("the environment has no %q", want)
		}
	}
	for i, value := range odd {
		if want := fmt.Sprintf("ODD_%d=%s", i, value); !got[want] {
			t.Errorf("the environment has no %q", want)
		}
	}
	if got["GOMAXPROCS=1"] || len(got) != len(odd)+9 {
		t.Errorf("the environment is %q", variables)
	}
}

// TestLaunch_FailsBeforeAnythingRuns goes through what a preflight finds. Every
// failure is a recorded session with its stage and a message that says what.
func TestLaunch_FailsBeforeAnythingRuns(t *testing.T) {
	dir := sessions(t)
	l := serve(t, dir)
	place := t.TempDir()
	for parent := place; parent != "/"; parent = filepath.Dir(parent) { // others may pass
		if info, err := os.Stat(parent); err != nil || info.Mode().Perm()&0o005 != 0o005 {
			if err := os.Chmod(parent, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(place, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho ran\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("plain", 0o644)
	file("private", 0o700)
	file("good", 0o755)
	secret := filepath.Join(place, "secret")
	if err := os.Mkdir(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	const none, missing, refused = banger.LaunchCause(""), banger.LaunchCommandNotFound, banger.LaunchCommandNotExecutable
	const launch, cwd, command = banger.StageLaunch, banger.StagePreflightCwd, banger.StagePreflightCommand
	for name, test := range map[string]struct {
		change func(*banger.Launch)
		stage  banger.LaunchStage // "" if it runs
		says   []string
		cause  banger.LaunchCause
	}{
		"all is well":             {func(x *banger.Launch) {}, "", nil, none},
		"unknown user":            {func(x *banger.Launch) { x.User = "nosuchuser" }, launch, []string{`"nosuchuser"`}, none},
		"cwd missing":             {func(x *banger.Launch) { x.Cwd = "/no/such\nfolder" }, cwd, []string{`"/no/such\nfolder"`, "does not exist"}, none},
		"cwd is a file":           {func(x *banger.Launch) { x.Cwd = "/etc/passwd" }, cwd, []string{"not a directory"}, none},
		"cwd below a file":        {func(x *banger.Launch) { x.Cwd = "/etc/passwd/x" }, cwd, []string{"/etc/passwd/x"}, none},
		"cwd closed to the user":  {func(x *banger.Launch) { x.User, x.Cwd = "nobody", banger.ByteString(secret) }, cwd, []string{`"nobody"`, "may not enter"}, none},
		"cwd open to root":        {func(x *banger.Launch) { x.Cwd = banger.ByteString(secret) }, "", nil, none},
		"home missing":            {func(x *banger.Launch) { x.User = "nobody" }, "", nil, none},
		"no such command":         {func(x *banger.Launch) { x.Command = "no-such-command" }, command, []string{`"no-such-command"`, "not found in PATH"}, missing},
		"no such path":            {func(x *banger.Launch) { x.Command = "/no/such/command" }, command, []string{"does not exist"}, missing},
		"not executable":          {func(x *banger.Launch) { x.Command = "plain" }, command, []string{"not executable", place + "/plain"}, refused},
		"not executable path":     {func(x *banger.Launch) { x.Command = banger.ByteString(place + "/plain") }, command, []string{"not executable"}, refused},
		"not executable for user": {func(x *banger.Launch) { x.User, x.Command = "nobody", "private" }, command, []string{"not executable", `"nobody"`}, refused},
		"executable for root":     {func(x *banger.Launch) { x.Command = "private" }, "", nil, none},
		"a directory":             {func(x *banger.Launch) { x.Command = "secret" }, command, []string{"is a directory"}, refused},
		"relative to cwd":         {func(x *banger.Launch) { x.Command, x.Cwd = "./good", banger.ByteString(place) }, "", nil, none},
		"relative elsewhere":      {func(x *banger.Launch) { x.Command = "./good" }, command, []string{"does not exist"}, missing},
		"empty PATH means cwd":    {func(x *banger.Launch) { x.Cwd, x.Env["PATH"] = banger.ByteString(place), "" }, "", nil, none},
		"required commands": {func(x *banger.Launch) { x.RequiredCommands = []banger.ByteString{"sh", "miss-1", "plain", "miss-2"} },
			command, []string{`"miss-1"`, `"miss-2"`, `"plain"`}, none},
		"command and required": {func(x *banger.Launch) { x.Command, x.RequiredCommands = "miss-0", []banger.ByteString{"miss-1"} },
			command, []string{`command "miss-0"`, `required command "miss-1"`}, missing},
	} {
		t.Run(name, func(t *testing.T) {
			g := launchOf(banger.StdinClosed, "good")
			g.Env = map[string]banger.ByteString{"PATH": banger.ByteString("/nowhere:" + place + ":/usr/bin:/bin")}
			test.change(&g.Launch)
			s := l.launch(g)
			if test.stage == "" {
				if out := l.output(s.ID, banger.StreamStdout); out != "ran\n" {
					t.Errorf("the command did not run: %+v", s)
				}
				return
			}
			if s.Status != banger.StatusFailed || s.EndedBy != banger.EndedByLaunch || s.LaunchStage != test.stage || s.LaunchCause != test.cause || s.EndedAt.IsZero() || s.LaunchRawLog == "" {
				t.Errorf("the session is %+v", s)
			}
			for _, words := range test.says {
				if !strings.Contains(s.LaunchMessage, words) {
					t.Errorf("the message %q does not say %q", s.LaunchMessage, words)
				}
			}
			if out := l.output(s.ID, banger.StreamBoth); out != "" {
				t.Errorf("something ran: %q", out)
			}
			kept, err := sessiondir.ReadState(os.DirFS(filepath.Join(dir, string(g.ID))))
			if err != nil || kept.LaunchMessage != s.LaunchMessage || kept.Sequence != s.Sequence {
				t.Errorf("the disk has %+v, %v", kept, err)
			}
		})
	}
}

func TestLaunch_HundredAtOnce(t *testing.T) {
	l := serve(t, sessions(t))
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			s := l.start(banger.StdinClosed, "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i))
			want := fmt.Sprintf("%d\n", i)
			if got := l.output(s.ID, banger.StreamStdout); got != want {
				t.Errorf("output is %q, want %q", got, want)
			}
			if end := l.list()[s.ID]; end.ExitCode == nil || *end.ExitCode != i {
				t.Errorf("session %d ended as %+v", i, end)
			}
		})
	}
	wg.Wait()
}
