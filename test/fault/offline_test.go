package fault

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
)

// The logs of a stopped VM are read from its disk: the same bytes, at the same
// offsets, with the same times as when it ran.
func TestFault_LogsOfAStoppedVMAreReadFromItsDisk(t *testing.T) {
	i := installation.New(t, bin)
	i.StartVM(t, "v")
	i.MustRun(t, "session", "start", "v", "--name", "short", "--", "sh", "-c", "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; exit 3")
	i.MustRun(t, "session", "start", "v", "--name", "long", "--log-limit", "1M", "--", "sh", "-c", "yes 0123456789abcde | head -c 3M; echo end")
	i.MustRun(t, "session", "start", "v", "--name", "running", "--stdin", "pipe", "--", "sh", "-c", "echo up; cat")
	for _, name := range []string{"short", "long"} {
		i.Run(t, "session", "wait", "v", name)
	}
	reads := [][]string{
		{"logs", "v", "short"},
		{"logs", "v", "short", "-n", "2", "--stream", "stderr"},
		{"logs", "v", "short", "--timestamps"},
		{"logs", "v", "short", "--stream", "stdout", "--from", "12", "--json"},
		{"logs", "v", "long", "-n", "3"},
		{"logs", "v", "long", "-n", "all"},
		{"logs", "v", "running"},
		{"wait", "v", "short", "--match", "out 3"},
		{"attach", "v", "short", "--view", "--from", "start"},
	}
	var live []installation.Result
	for _, args := range reads {
		live = append(live, i.Run(t, append([]string{"session"}, args...)...))
	}
	i.MustRun(t, "vm", "stop", "v")
	for n, args := range reads {
		got, want := i.Run(t, append([]string{"session"}, args...)...), live[n]
		if got.Code != want.Code || !bytes.Equal(got.Stdout, want.Stdout) || !bytes.Equal(got.Stderr, want.Stderr) {
			t.Errorf("of the stopped VM: %s\nwhen it ran: %s", got, want)
		}
	}
	if r := i.Run(t, "session", "logs", "v", "running", "-f"); r.Code != 0 || string(r.Stdout) != "up\n" {
		t.Errorf("who follows a session that has ended with its VM: %s", r)
	}
	i.MustRun(t, "vm", "start", "v")
	if log := i.MustRun(t, "session", "logs", "v", "short", "--stream", "stdout", "-n", "1"); log != "out 5\n" {
		t.Errorf("after the next start the log is %q", log)
	}
}

// The machine is killed (SIGKILL) while sessions write and others have just ended:
// what their shims have synced, which they do each second, is on the disk, and nothing
// else is. Without a boot, their records say the same.
func TestFault_KilledMachineKeepsWhatWasSynced(t *testing.T) {
	i := installation.New(t, bin)
	vm := i.StartVM(t, "v")
	sessions := sized(4, 10)
	for n := range sessions {
		i.MustRun(t, "session", "start", "v", "--name", fmt.Sprint("s", n), "--", "sh", "-c", "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.05; done")
	}
	read := func(n int) string { return i.MustRun(t, "session", "logs", "v", fmt.Sprint("s", n), "-n", "all") }
	written := make([]string, sessions)
	for n := range written {
		installation.WaitFor(t, "a session to write", func() bool { written[n] = read(n); return len(written[n]) > 100 })
	}
	// By the guest's own clock all of that is old enough.
	last := fmt.Sprint("s", sessions-1)
	from := lastLineAt(t, i, last)
	installation.WaitFor(t, "the guest to have had time", func() bool { return lastLineAt(t, i, last).Sub(from) > 3*time.Second })
	follower := begin(t, i, "session", "logs", "v", "s0", "-f", "-n", "all")
	const over = 4 // more sessions, that have just ended when the machine is killed
	for n := range over {
		name := fmt.Sprint("over", n)
		i.MustRun(t, "session", "start", "v", "--name", name, "--", "sh", "-c", fmt.Sprint("echo over; exit ", n))
		i.Run(t, "session", "wait", "v", name)
	}
	for _, pid := range machines(t, vm.ID) {
		installation.Kill(t, pid)
	}
	installation.WaitFor(t, "the VM to be lost", func() bool { return show(t, i, "v").State == banger.VMFailed })
	if err := follower.Wait(); err != nil {
		t.Errorf("who followed a log: %v: %s", err, &follower.output)
	}
	if log := read(0); !strings.HasPrefix(follower.output.String(), log) && !strings.HasPrefix(log, follower.output.String()) {
		t.Errorf("who followed a log has seen %q, and %q is on the disk", &follower.output, log)
	}
	for n := range sessions {
		log := read(n)
		if !strings.HasPrefix(log, written[n]) {
			t.Errorf("session %d had written %d bytes in time, and %d are on the disk", n, len(written[n]), len(log))
		}
		for k, line := range strings.Split(strings.TrimSuffix(log, "\n"), "\n") {
			if want := fmt.Sprint("line ", k); line != want && !strings.HasPrefix(want, line) {
				t.Errorf("line %d of session %d is %q", k, n, line)
			}
		}
		x := installation.JSON[banger.Session](t, i, "session", "show", "v", fmt.Sprint("s", n))
		if x.EndedBy != banger.EndedByVMLost || x.StdoutBytes != int64(len(log)) || x.LastError != "" {
			t.Errorf("session %d has a log of %d bytes and is %+v", n, len(log), x.SessionState)
		}
	}
	for _, x := range installation.JSON[[]banger.Session](t, i, "session", "list", "v") {
		code, over := strings.CutPrefix(x.Name, "over")
		if !x.Status.Ended() || over && (x.ExitCode == nil || fmt.Sprint(*x.ExitCode) != code || x.EndedBy != banger.EndedByExit || x.StdoutBytes != 5) {
			t.Errorf("session %s is %+v", x.Name, x.SessionState)
		}
		if over && i.MustRun(t, "session", "logs", "v", x.Name) != "over\n" {
			t.Errorf("the log of session %s is not complete", x.Name)
		}
	}
}

// lastLineAt is when a session has begun its last line that has a time, by the guest's
// clock: after a crash the very last one need not.
func lastLineAt(t *testing.T, i *installation.Installation, session string) time.Time {
	t.Helper()
	lines := strings.Split(i.MustRun(t, "session", "logs", "v", session, "-n", "100", "--timestamps"), "\n")
	for _, line := range slices.Backward(lines) {
		stamp, _, _ := strings.Cut(line, " ")
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
			return at
		}
	}
	t.Fatalf("no line of session %s has a time: %q", session, lines)
	return time.Time{}
}
