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
	"banger/test/wait"
)

// The logs of a stopped VM are read from its disk: the same bytes, at the same
// offsets, with the same times as when it ran.
func logsAreReadFromTheDisk(i *installation.Installation) witness {
	reads := [][]string{
		{"logs", "v", "short"},
		{"logs", "v", "short", "-n", "2", "--stream", "stderr"},
		{"logs", "v", "short", "--timestamps"},
		{"logs", "v", "short", "--stream", "stdout", "--from", "12", "--json"},
		{"logs", "v", "long", "-n", "3"},
		{"logs", "v", "long", "-n", "all"},
		{"logs", "v", "open"},
		{"wait", "v", "short", "--match", "out 3"},
		{"attach", "v", "short", "--view", "--from", "start"},
	}
	var live []installation.Result
	return witness{
		promise: "logs are the same",
		running: func(t *testing.T) {
			i.MustRun(t, "session", "start", "v", "--name", "short", "--", "sh", "-c", "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; exit 3")
			i.MustRun(t, "session", "start", "v", "--name", "long", "--log-limit", "1M", "--", "sh", "-c", "yes 0123456789abcde | head -c 3M; echo end")
			i.MustRun(t, "session", "start", "v", "--name", "open", "--stdin", "pipe", "--", "sh", "-c", "echo up; cat")
			for _, name := range []string{"short", "long"} {
				i.Run(t, "session", "wait", "v", name)
			}
			i.MustRun(t, "session", "wait", "v", "open", "--match", "up")
			for _, args := range reads {
				live = append(live, i.Run(t, append([]string{"session"}, args...)...))
			}
		},
		stopped: func(t *testing.T) {
			for n, args := range reads {
				got, want := i.Run(t, append([]string{"session"}, args...)...), live[n]
				if got.Code != want.Code || !bytes.Equal(got.Stdout, want.Stdout) || !bytes.Equal(got.Stderr, want.Stderr) {
					t.Errorf("of the stopped VM: %s\nwhen it ran: %s", got, want)
				}
			}
			if r := i.Run(t, "session", "logs", "v", "open", "-f"); r.Code != 0 || string(r.Stdout) != "up\n" {
				t.Errorf("who follows a session that has ended with its VM: %s", r)
			}
		},
		again: func(t *testing.T) {
			if log := i.MustRun(t, "session", "logs", "v", "short", "--stream", "stdout", "-n", "1"); log != "out 5\n" {
				t.Errorf("after the next start the log is %q", log)
			}
		},
	}
}

// The machine is killed (SIGKILL) while sessions write and others have just ended:
// what their shims have synced, which they do each second, is on the disk, and nothing
// else is. Without a boot, their records say the same.
func whatWasSyncedIsKept(whole *testing.T, i *installation.Installation) witness {
	over := sized(2, 4) // sessions that have just ended when the machine is killed
	written := make([]string, sized(2, 10))
	read := func(t *testing.T, n int) string {
		return i.MustRun(t, "session", "logs", "v", fmt.Sprint("writer", n), "-n", "all")
	}
	var follower *background
	return witness{
		promise: "what was synced is there",
		again: func(t *testing.T) {
			for n := range written {
				i.MustRun(t, "session", "start", "v", "--name", fmt.Sprint("writer", n), "--", "sh", "-c", "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.1; done")
			}
			for n := range written {
				wait.For(t, "a session to write", func() bool { written[n] = read(t, n); return len(written[n]) > 100 })
			}
			giveTime(t, i, fmt.Sprint("writer", len(written)-1))
			follower = begin(whole, i, "session", "logs", "v", "writer0", "-f", "-n", "all")
			for n := range over {
				name := fmt.Sprint("over", n)
				i.MustRun(t, "session", "start", "v", "--name", name, "--", "sh", "-c", fmt.Sprint("echo over; exit ", n))
				i.Run(t, "session", "wait", "v", name)
			}
		},
		killed: func(t *testing.T) {
			if err := follower.Wait(); err != nil {
				t.Errorf("who followed a log: %v: %s", err, &follower.output)
			}
			if log := read(t, 0); !strings.HasPrefix(follower.output.String(), log) && !strings.HasPrefix(log, follower.output.String()) {
				t.Errorf("who followed a log has seen %q, and %q is on the disk", &follower.output, log)
			}
			for n := range written {
				checkSynced(t, i, fmt.Sprint("writer", n), read(t, n), written[n])
			}
			for n := range over {
				x := installation.JSON[banger.Session](t, i, "session", "show", "v", fmt.Sprint("over", n))
				if x.ExitCode == nil || *x.ExitCode != n || x.EndedBy != banger.EndedByExit || x.StdoutBytes != 5 {
					t.Errorf("session %s is %+v", x.Name, x.SessionState)
				}
				if i.MustRun(t, "session", "logs", "v", x.Name) != "over\n" {
					t.Errorf("the log of session %s is not complete", x.Name)
				}
			}
			for _, x := range installation.JSON[[]banger.Session](t, i, "session", "list", "v") {
				if !x.Status.Ended() {
					t.Errorf("session %s is %+v", x.Name, x.SessionState)
				}
			}
		},
	}
}

// checkSynced checks the log of a session whose machine was killed, and its record.
// written is what it had written in time.
func checkSynced(t *testing.T, i *installation.Installation, name, log, written string) {
	t.Helper()
	if !strings.HasPrefix(log, written) {
		t.Errorf("session %s had written %d bytes in time, and %d are on the disk", name, len(written), len(log))
	}
	for k, line := range strings.Split(strings.TrimSuffix(log, "\n"), "\n") {
		if want := fmt.Sprint("line ", k); line != want && !strings.HasPrefix(want, line) {
			t.Errorf("line %d of session %s is %q", k, name, line)
		}
	}
	x := installation.JSON[banger.Session](t, i, "session", "show", "v", name)
	if x.EndedBy != banger.EndedByVMLost || x.StdoutBytes != int64(len(log)) || x.LastError != "" {
		t.Errorf("session %s has a log of %d bytes and is %+v", name, len(log), x.SessionState)
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
