package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"banger"
	"banger/test/installation"
)

// start starts a session in the shared VM and returns its record.
func start(t *testing.T, i *installation.Installation, name string, flagsAndCommand ...string) banger.Session {
	t.Helper()
	i.MustRun(t, append([]string{"session", "start", vmName, "--name", name}, flagsAndCommand...)...)
	return show(t, i, name)
}

func show(t *testing.T, i *installation.Installation, name string) banger.Session {
	t.Helper()
	return installation.JSON[banger.Session](t, i, "session", "show", vmName, name)
}

// waitSession waits for a session's end and returns its record and the exit status of
// the waiting command.
func waitSession(t *testing.T, i *installation.Installation, name string) (banger.Session, int) {
	t.Helper()
	r := i.Run(t, "session", "wait", vmName, name)
	return show(t, i, name), r.Code
}

func TestSession_OutputSurvivesDaemonKill(t *testing.T) {
	i := sharedVM(t)
	const lines = 400
	start(t, i, "count", "--stdin", "pipe", "--", "sh", "-c",
		fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i; [ $((i%%100)) = 0 ] && read go; done; exit 7", lines))
	for range 3 {
		// Each kill comes between two halves of the output, at a known place.
		i.MustRun(t, "session", "send", vmName, "count", "--data", "go\n")
		i.KillDaemon(t)
	}
	i.MustRun(t, "session", "send", vmName, "count", "--data", "go\n")
	x, code := waitSession(t, i, "count")
	if code != 7 || x.ExitCode == nil || *x.ExitCode != 7 || x.EndedBy != banger.EndedByExit || x.Status != banger.StatusFailed {
		t.Errorf("ended with %d: %+v", code, x.SessionState)
	}
	var want strings.Builder
	for n := range lines {
		fmt.Fprintf(&want, "line %d\n", n+1)
	}
	if got := i.MustRun(t, "session", "logs", vmName, "count", "-n", "all"); got != want.String() {
		t.Errorf("the log has %d bytes, want %d", len(got), want.Len())
	}
}

func TestSession_ExitStatusIsReported(t *testing.T) {
	i := sharedVM(t)
	for _, c := range []struct {
		name, script string
		waited       int
		status       banger.Status
		code         int // -1 if a signal ended it
		signal       string
		by           banger.EndedBy
	}{
		{"ok", "exit 0", 0, banger.StatusExited, 0, "", banger.EndedByExit},
		{"three", "exit 3", 3, banger.StatusFailed, 3, "", banger.EndedByExit},
		{"segv", "kill -SEGV $$", 128 + 11, banger.StatusFailed, -1, "SIGSEGV", banger.EndedBySignal},
	} {
		start(t, i, c.name, "--", "sh", "-c", c.script)
		x, code := waitSession(t, i, c.name)
		got := -1
		if x.ExitCode != nil {
			got = *x.ExitCode
		}
		if code != c.waited || x.Status != c.status || got != c.code || x.ExitSignal != c.signal || x.EndedBy != c.by {
			t.Errorf("%s: wait exited with %d, state %+v", c.name, code, x.SessionState)
		}
		if x.StartedAt.IsZero() || x.EndedAt.Before(x.StartedAt) || x.GuestPID == 0 {
			t.Errorf("%s: times or pid are missing: %+v", c.name, x.SessionState)
		}
	}
}

func TestSession_StdinEndsForReal(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "sort", "--stdin", "pipe", "--", "sort")
	i.MustRun(t, "session", "send", vmName, "sort", "--data", "pear\nfig\n")
	if r := i.Feed(t, strings.NewReader("apple\n"), "session", "send", vmName, "sort", "--eof"); r.Code != 0 {
		t.Fatal(r)
	}
	if _, code := waitSession(t, i, "sort"); code != 0 {
		t.Errorf("sort ended with %d", code)
	}
	if got, want := i.MustRun(t, "session", "logs", vmName, "sort"), "apple\nfig\npear\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r := i.Run(t, "session", "send", vmName, "sort", "--data", "late"); r.Code != 125 {
		t.Errorf("sending to an ended session: %s", r)
	}
}

func TestSession_BinaryPassesByteForByte(t *testing.T) {
	i := sharedVM(t)
	data := make([]byte, 1<<20)
	for n, random := 0, rand.New(rand.NewPCG(1, 2)); n < len(data); n++ {
		data[n] = byte(random.Uint32())
	}
	start(t, i, "cat", "--stdin", "pipe", "--", "cat")
	if r := i.Feed(t, bytes.NewReader(data), "session", "send", vmName, "cat", "--eof"); r.Code != 0 {
		t.Fatal(r)
	}
	follow := i.Run(t, "session", "logs", vmName, "cat", "-f", "--from", "0", "--stream", "stdout")
	if sha256.Sum256(follow.Stdout) != sha256.Sum256(data) {
		t.Errorf("%d bytes came back, want the %d that went in", len(follow.Stdout), len(data))
	}
}

func TestSession_ArgumentsAndNamesArriveByteForByte(t *testing.T) {
	i := sharedVM(t)
	nasty := []string{"", "a b", `"'`, "$(touch /tmp/owned)", "new\nline", "\xff\xfe", "*", "-n", "\\"}
	name := "na;me $(x) \"'\n/é"
	args := append([]string{"--tag", "k y=v\n$(x)'\"", "--env", "NASTY=\xff'\"\n$(touch /tmp/owned)", "--", "/bin/sh", "-c",
		`printf '%s\0' "$@"; printf '%s' "$NASTY"; test ! -e /tmp/owned`, "sh"}, nasty...)
	x := start(t, i, name, args...)
	if x.Name != name || x.Tags["k y"] != "v\n$(x)'\"" {
		t.Errorf("name or tag changed: %q %q", x.Name, x.Tags)
	}
	if _, code := waitSession(t, i, name); code != 0 {
		t.Errorf("ended with %d: a shell has read the arguments", code)
	}
	want := strings.Join(nasty, "\x00") + "\x00" + "\xff'\"\n$(touch /tmp/owned)"
	if got := i.MustRun(t, "session", "logs", vmName, name, "-n", "all"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSession_LogsByLinesOffsetsAndStreams(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "log", "--", "sh", "-c", "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done")
	waitSession(t, i, "log")
	for _, c := range []struct {
		flags          string
		stdout, stderr string
	}{
		{"--stream stdout -n 2", "out 4\nout 5\n", ""},
		{"--stream stderr -n 1", "", "err 5\n"},
		{"--stream stdout --from 18", "out 4\nout 5\n", ""},
		{"--stream stdout --from 30", "", ""},
		{"--stream stdout -n 0", "", ""},
		{"-n 1000", "out 1\nout 2\nout 3\nout 4\nout 5\n", "err 1\nerr 2\nerr 3\nerr 4\nerr 5\n"},
	} {
		r := i.Run(t, append([]string{"session", "logs", vmName, "log"}, strings.Fields(c.flags)...)...)
		if r.Code != 0 || string(r.Stdout) != c.stdout || string(r.Stderr) != c.stderr {
			t.Errorf("logs %s: %s", c.flags, r)
		}
	}
	if r := i.Run(t, "session", "logs", vmName, "log", "--stream", "stdout", "--from", "31"); r.Code == 0 {
		t.Errorf("an offset beyond the end is accepted: %s", r)
	}
	r := i.Run(t, "session", "logs", vmName, "log", "--stream", "stdout", "-n", "1", "--timestamps")
	if stamp, rest, ok := strings.Cut(string(r.Stdout), " "); !ok || rest != "out 5\n" || len(stamp) < len("2006-01-02T15:04:05Z") {
		t.Errorf("timestamps: %s", r)
	}
}

func TestSession_LogKeepsTheNewestAndSaysWhatIsMissing(t *testing.T) {
	i := sharedVM(t)
	const written, limit = 6<<20 + 5, 1 << 20
	start(t, i, "much", "--log-limit", "1M", "--", "sh", "-c", "yes 0123456789abcde | head -c 6M; echo last")
	waitSession(t, i, "much")
	r := i.Run(t, "session", "logs", vmName, "much", "-n", "all", "--stream", "stdout")
	var missing int
	if _, err := fmt.Sscanf(string(r.Stderr), "banger: %d bytes of stdout are missing here: log limit\n", &missing); err != nil {
		t.Fatalf("nothing is told to be missing: %v: %.300s", err, r.Stderr)
	}
	if r.Code != 0 || missing+len(r.Stdout) != written || len(r.Stdout) > limit || len(r.Stdout) < limit/2 || !strings.HasSuffix(string(r.Stdout), "\nlast\n") {
		t.Errorf("%d bytes are missing, %d were printed", missing, len(r.Stdout))
	}
	x := installation.JSON[banger.Session](t, i, "session", "show", vmName, "much")
	if x.StdoutBytes != written || x.LogLimit != limit {
		t.Errorf("the record has %d bytes with a limit of %d", x.StdoutBytes, x.LogLimit)
	}
	used, err := strconv.Atoi(strings.Fields(i.MustRun(t, "vm", "ssh", vmName, "--", "du -B1 "+x.StdoutLogPath))[0])
	if err != nil || used > limit+64<<10 {
		t.Errorf("the log takes %d bytes of the guest's disk: %v", used, err)
	}
	if r := i.Run(t, "session", "start", vmName, "--log-limit", "12", "--", "true"); r.Code != 2 {
		t.Errorf("a limit without a unit is taken: %s", r)
	}
}

func TestSession_StopIsCleanAndKillMeansDead(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "polite", "--", "sh", "-c", "trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 1; done")
	start(t, i, "stubborn", "--", "sh", "-c", "trap '' TERM; echo up; setsid sh -c 'trap \"\" TERM; sleep 1000' & while :; do sleep 1; done")
	for _, name := range []string{"polite", "stubborn"} {
		follow(t, i, name, "up\n")
	}
	i.MustRun(t, "session", "stop", vmName, "polite")
	if x := show(t, i, "polite"); x.EndedBy != banger.EndedByStop || x.ExitCode == nil || *x.ExitCode != 4 {
		t.Errorf("polite: %+v", x.SessionState)
	}
	if log := i.MustRun(t, "session", "logs", vmName, "polite"); log != "up\nbye\n" {
		t.Errorf("polite said %q", log)
	}
	i.MustRun(t, "session", "kill", vmName, "stubborn")
	if x := show(t, i, "stubborn"); x.EndedBy != banger.EndedByKill || x.ExitSignal != "SIGKILL" || x.ExitCode != nil {
		t.Errorf("stubborn: %+v", x.SessionState)
	}
	// Nothing of it is left, not even what has left its process group.
	start(t, i, "look", "--", "sh", "-c", "! grep -lx sleep /proc/[0-9]*/comm")
	if _, code := waitSession(t, i, "look"); code != 0 {
		t.Error("a process of the killed session is alive: ", i.MustRun(t, "session", "logs", vmName, "look"))
	}
	if r := i.Run(t, "session", "stop", vmName, "stubborn"); r.Code != 0 {
		t.Errorf("stopping an ended session: %s", r)
	}
}

// follow reads a session's stdout as it comes until it holds text.
func follow(t *testing.T, i *installation.Installation, name, text string) {
	t.Helper()
	cmd := i.Command(t.Context(), "session", "logs", vmName, name, "-f", "--from", "0", "--stream", "stdout")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buffer := make([]byte, 4096)
	for !strings.Contains(string(got), text) && err == nil {
		var n int
		n, err = out.Read(buffer)
		got = append(got, buffer[:n]...)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatalf("session %s said %q, and then: %v", name, got, err)
	}
}

func TestSession_SameKeyIsSameSession(t *testing.T) {
	i := sharedVM(t)
	one := start(t, i, "keyed", "--idempotency-key", "k1", "--", "sh", "-c", "echo once")
	r := i.MustRun(t, "session", "start", vmName, "--idempotency-key", "k1", "--json", "--", "sh", "-c", "echo twice")
	if !strings.Contains(r, string(one.ID)) {
		t.Errorf("the second start of a key made another session: %s", r)
	}
	waitSession(t, i, "keyed")
	if log := i.MustRun(t, "session", "logs", vmName, "keyed"); log != "once\n" {
		t.Errorf("got %q", log)
	}
}

func TestSession_TerminalIsOne(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "tty", "--tty", "--", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && tty && stty size")
	if _, code := waitSession(t, i, "tty"); code != 0 {
		t.Errorf("ended with %d", code)
	}
	if log := i.MustRun(t, "session", "logs", vmName, "tty"); !strings.HasPrefix(log, "/dev/pts/") || !strings.HasSuffix(log, "24 80\r\n") {
		t.Errorf("got %q", log)
	}
}

func TestSession_RemoveLeavesNothing(t *testing.T) {
	i := sharedVM(t)
	x := start(t, i, "gone", "--", "sleep", "1000")
	if r := i.Run(t, "session", "rm", vmName, "gone"); r.Code != 125 {
		t.Errorf("a running session is removed without --force: %s", r)
	}
	i.MustRun(t, "session", "rm", "--force", vmName, "gone")
	if r := i.Run(t, "session", "show", vmName, "gone"); r.Code != 125 {
		t.Errorf("it is still shown: %s", r)
	}
	start(t, i, "look2", "--", "test", "!", "-e", x.GuestStateDir)
	if _, code := waitSession(t, i, "look2"); code != 0 {
		t.Error("its directory is still there")
	}
}
