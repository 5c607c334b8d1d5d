package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

// pieces are what `logs --json` prints.
type pieces struct {
	in   *json.Decoder
	text bytes.Buffer
	end  *banger.LogEnd
}

// read reads at least n bytes more, or all there is.
func (p *pieces) read(t *testing.T, n int) {
	t.Helper()
	for want := p.text.Len() + n; p.end == nil && p.text.Len() < want; {
		var line struct {
			banger.LogChunk
			*banger.LogEnd
		}
		if err := p.in.Decode(&line); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if int64(p.text.Len()) != line.Offset && len(line.Data) > 0 || line.Gap > 0 {
			t.Fatalf("after %d bytes comes offset %d, a gap of %d", p.text.Len(), line.Offset, line.Gap)
		}
		p.text.Write(line.Data)
		p.end = line.LogEnd
	}
}

// Who follows a log slowly continues while its VM is stopped and started again: it gets
// every byte, and then the end.
func followerContinues(whole *testing.T, i *installation.Installation) witness {
	// What seq is asked for here it prints faster than with a format.
	const lines, line, base = 200_000, 20, 1_000_000_000_000_000_000
	var follower *exec.Cmd
	var notices bytes.Buffer
	var got pieces
	return witness{
		promise: "a follower continues",
		running: func(t *testing.T) {
			i.MustRun(t, "session", "start", "v", "--name", "followed", "--", "sh", "-c",
				fmt.Sprintf("seq %d %d; echo done >&2; exec sleep 100000", base+1, base+lines))
			follower = i.Command(whole.Context(), "session", "logs", "v", "followed", "-f", "-n", "all", "--json", "--stream", "stdout")
			out, err := follower.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			follower.Stderr = &notices
			if err := follower.Start(); err != nil {
				t.Fatal(err)
			}
			got.in = json.NewDecoder(out)
			got.read(t, 1)
			i.MustRun(t, "session", "wait", "v", "followed", "--match", "^done$", "--stream", "stderr")
		},
		stopped: func(t *testing.T) {
			x := installation.JSON[banger.Session](t, i, "session", "show", "v", "followed")
			if x.EndedBy != banger.EndedByVMStopped || x.StdoutBytes != lines*line {
				t.Errorf("of the stopped VM: %+v", x.SessionState)
			}
			read := got.text.Len()
			got.read(t, lines*line/2)
			if got.end != nil || read > lines*line/4 {
				t.Fatalf("the follower was too fast to be followed: %d bytes, then %d", read, got.text.Len())
			}
		},
		again: func(t *testing.T) {
			got.read(t, 2*lines*line)
			if err := follower.Wait(); err != nil || notices.Len() > 0 {
				t.Errorf("the follower has ended with %v: %s", err, &notices)
			}
			if got.end == nil || !got.end.Ended || got.end.Next.Stdout != lines*line || got.text.Len() != lines*line {
				t.Errorf("it got %d bytes, and the end %+v", got.text.Len(), got.end)
			}
			n := 0
			for text := range strings.Lines(got.text.String()) {
				if n++; text != fmt.Sprintln(base+n) {
					t.Fatalf("line %d is %q", n, text)
				}
			}
		},
	}
}

// answers are what the commands about sessions say, by command: their exit status and
// what they print, without what only tells when a record was written.
func answers(t *testing.T, i *installation.Installation, names ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	ask := func(args ...string) {
		r := i.Run(t, append([]string{"session"}, args...)...)
		all[strings.Join(args, " ")] = fmt.Sprintf("%d\n%s%s", r.Code, withoutRevisions(t, r.Stdout), r.Stderr)
	}
	for _, name := range names {
		ask("show", "v", name, "--json")
		ask("wait", "v", name, "--json")
		ask("wait", "v", name, "--match", "out 3", "--json")
		ask("logs", "v", name, "-n", "all", "--json")
		ask("logs", "v", name, "-n", "2", "--stream", "stderr", "--json")
		ask("logs", "v", name, "--from", "9", "--stream", "stdout", "--limit", "7", "--json")
		ask("logs", "v", name, "--timestamps")
	}
	for _, x := range installation.JSON[[]banger.Session](t, i, "session", "list", "v") {
		if slices.Contains(names, x.Name) {
			x.Revision, x.UpdatedAt = 0, time.Time{}
			listed, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			all["list: "+x.Name] = string(listed)
		}
	}
	return all
}

// withoutRevisions takes from the JSON of a record what changes with each writing.
func withoutRevisions(t *testing.T, out []byte) string {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(string(out)) {
		if field, _, _ := strings.Cut(strings.TrimSpace(line), ":"); field != `"revision"` && field != `"updated_at"` {
			text.WriteString(line)
		}
	}
	return text.String()
}

// compare fails the test where an answer is another one than before.
func compare(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, command := range sortedKeys(want) {
		if got[command] != want[command] {
			t.Errorf("%s says\n%s\nand said before\n%s", command, got[command], want[command])
		}
	}
}

// What is said of sessions is the same when their VM runs, when it is stopped, when its
// machine was killed, and when it runs again.
func answersAreTheSame(i *installation.Installation) witness {
	const print = "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; "
	start := func(t *testing.T, name, then string) {
		i.MustRun(t, "session", "start", "v", "--name", name, "--stdin", "pipe", "--", "sh", "-c", print+then)
	}
	before := map[string]string{} // what was said in the phases before
	remember := func(t *testing.T, names ...string) { maps.Copy(before, answers(t, i, names...)) }
	return witness{
		promise: "the answers are the same",
		running: func(t *testing.T) {
			start(t, "good", "exit 0")
			start(t, "bad", "exit 3")
			for _, name := range []string{"good", "bad"} {
				i.Run(t, "session", "wait", "v", name)
			}
			start(t, "stopped", "read x; echo $x; exec sleep 100000")
			i.MustRun(t, "session", "send", "v", "stopped", "--data", "in\n")
			i.MustRun(t, "session", "wait", "v", "stopped", "--match", "in")
			remember(t, "good", "bad")
		},
		stopped: func(t *testing.T) {
			compare(t, answers(t, i, "good", "bad"), before)
			remember(t, "stopped")
		},
		again: func(t *testing.T) {
			compare(t, answers(t, i, "good", "bad", "stopped"), before)
			start(t, "late", "exit 4")
			i.Run(t, "session", "wait", "v", "late")
			start(t, "killed", "read x; exec sleep 100000")
			i.MustRun(t, "session", "start", "v", "--name", "clock", "--", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
			i.MustRun(t, "session", "wait", "v", "killed", "--match", "out 5")
			i.MustRun(t, "session", "wait", "v", "clock", "--match", "tick")
			remember(t, "late") // whatWasSyncedIsKept gives the others time
		},
		killed: func(t *testing.T) {
			compare(t, answers(t, i, "good", "bad", "stopped", "late"), before)
			remember(t, "killed", "clock")
			if !strings.Contains(before["show v killed --json"], string(banger.EndedByVMLost)) || !strings.Contains(before["logs v killed --timestamps"], "err 5") {
				t.Errorf("of the killed session: %s%s", before["show v killed --json"], before["logs v killed --timestamps"])
			}
		},
		later: func(t *testing.T) {
			compare(t, answers(t, i, "good", "bad", "stopped", "late", "killed", "clock"), before)
		},
	}
}

// The machine is killed while no daemon runs. The next one reads what became of the
// sessions, and does not make up when those have ended that nobody saw.
func TestFault_MachineThatEndsWithoutADaemonStillTellsWhatBecameOfItsSessions(t *testing.T) {
	i := shared.Running(t, bin, "v")
	vm := show(t, i, "v")
	i.MustRun(t, "session", "start", "v", "--name", "ended alone", "--", "sh", "-c", "until test -e /root/go; do sleep 0.1; done; echo bye; exit 7")
	i.MustRun(t, "session", "start", "v", "--name", "ticks", "--", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
	i.MustRun(t, "session", "wait", "v", "ticks", "--match", "tick")
	ended := installation.JSON[banger.Session](t, i, "session", "show", "v", "ended alone")
	// The ssh continues without the daemon. It tells what the guest's clock says, too.
	state := ended.GuestStateDir + "/state.json"
	guest := i.Command(t.Context(), "vm", "ssh", "v", "--", "echo in; read x; date +%s%N; touch /root/go; until grep -q '\"ended_by\":\"exit\"' "+state+"; do sleep 0.1; done; sleep 3; echo out")
	in, err := guest.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := guest.StdoutPipe()
	if err == nil {
		err = guest.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("in\n"))); err != nil {
		t.Fatal(err)
	}
	i.KillDaemon(t)
	asked := time.Now()
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	var clock int64 // ns
	if _, err := fmt.Fscanln(out, &clock); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); err != nil || string(rest) != "out\n" {
		t.Fatalf("the guest says %q, %v", rest, err)
	}
	if err := guest.Wait(); err != nil {
		t.Fatal(err)
	}
	i.KillMachine(t, vm)
	killed := time.Unix(0, clock).Add(time.Since(asked)) // at the latest, by the guest's clock

	if r := i.Run(t, "session", "wait", "v", "ticks"); r.Code != 125 { // starts a daemon, which reads the disk
		t.Errorf("waiting for a session of a lost machine: %s", r)
	}
	for _, x := range installation.JSON[[]banger.Session](t, i, "session", "list", "v") {
		if !x.Status.Ended() {
			t.Errorf("session %s: %+v", x.Name, x.SessionState)
		}
	}
	if x := installation.JSON[banger.Session](t, i, "session", "show", "v", "ended alone"); x.EndedBy != banger.EndedByExit || x.ExitCode == nil || *x.ExitCode != 7 || x.StdoutBytes != 4 || x.LastError != "" {
		t.Errorf("that had ended: %+v", x.SessionState)
	}
	x := installation.JSON[banger.Session](t, i, "session", "show", "v", "ticks")
	log := i.MustRun(t, "session", "logs", "v", "ticks", "-n", "all")
	if x.EndedBy != banger.EndedByVMLost || x.StdoutBytes != int64(len(log)) || !strings.Contains(x.LastError, "last sign of life") {
		t.Errorf("that ran: %+v, and its log has %d bytes", x.SessionState, len(log))
	}
	if last := lastLineAt(t, i, "ticks"); x.EndedAt.Before(last) || x.EndedAt.After(killed) {
		t.Errorf("that ran wrote its last line at %v, was killed at %v, and has ended at %v", last, killed, x.EndedAt)
	}
	wait.For(t, "the VM to be lost", func() bool { return show(t, i, "v").State == banger.VMFailed })
	t.Run("retention is applied when it comes back", func(t *testing.T) { applyRetention(t, i) })
}
