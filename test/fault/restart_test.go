package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
)

// pieces are what `logs --json` prints.
type pieces struct {
	t    *testing.T
	in   *json.Decoder
	text bytes.Buffer
	end  *banger.LogEnd
}

// read reads at least n bytes more, or all there is.
func (p *pieces) read(n int) {
	p.t.Helper()
	for want := p.text.Len() + n; p.end == nil && p.text.Len() < want; {
		var line struct {
			banger.LogChunk
			*banger.LogEnd
		}
		if err := p.in.Decode(&line); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			p.t.Fatal(err)
		}
		if int64(p.text.Len()) != line.Offset && len(line.Data) > 0 || line.Gap > 0 {
			p.t.Fatalf("after %d bytes comes offset %d, a gap of %d", p.text.Len(), line.Offset, line.Gap)
		}
		p.text.Write(line.Data)
		p.end = line.LogEnd
	}
}

// Who follows a log slowly goes on while its VM is stopped and started again: it gets
// every byte, and then the end.
func TestFault_FollowerGoesOnWhileItsVMIsStoppedAndStarted(t *testing.T) {
	const lines, line = 200_000, 20
	i := installation.New(t, bin)
	i.StartVM(t, "v")
	i.MustRun(t, "session", "start", "v", "--name", "s", "--", "sh", "-c",
		fmt.Sprintf("seq -f %%0%d.0f %d; echo done >&2; exec sleep 100000", line-1, lines))
	follower := i.Command(t.Context(), "session", "logs", "v", "s", "-f", "-n", "all", "--json", "--stream", "stdout")
	out, err := follower.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var notices bytes.Buffer
	follower.Stderr = &notices
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	got := pieces{t: t, in: json.NewDecoder(out)}
	got.read(1)
	i.MustRun(t, "session", "wait", "v", "s", "--match", "^done$", "--stream", "stderr")
	i.MustRun(t, "vm", "stop", "v")
	if x := installation.JSON[banger.Session](t, i, "session", "show", "v", "s"); x.EndedBy != banger.EndedByVMStopped || x.StdoutBytes != lines*line {
		t.Errorf("of the stopped VM: %+v", x.SessionState)
	}
	read := got.text.Len()
	got.read(lines * line / 2)
	if got.end != nil || read > lines*line/4 {
		t.Fatalf("the follower was too fast to be followed: %d bytes, then %d", read, got.text.Len())
	}
	i.MustRun(t, "vm", "start", "v")
	got.read(2 * lines * line)
	if err := follower.Wait(); err != nil || notices.Len() > 0 {
		t.Errorf("the follower has ended with %v: %s", err, &notices)
	}
	if got.end == nil || !got.end.Ended || got.end.Next.Stdout != lines*line || got.text.Len() != lines*line {
		t.Errorf("it got %d bytes, and the end %+v", got.text.Len(), got.end)
	}
	n := 0
	for text := range strings.Lines(got.text.String()) {
		if n++; text != fmt.Sprintf("%0*d\n", line-1, n) {
			t.Fatalf("line %d is %q", n, text)
		}
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
	var listed []banger.Session
	for _, x := range installation.JSON[[]banger.Session](t, i, "session", "list", "v") {
		if slices.Contains(names, x.Name) {
			x.Revision, x.UpdatedAt = 0, time.Time{}
			listed = append(listed, x)
		}
	}
	list, err := json.Marshal(listed)
	if err != nil {
		t.Fatal(err)
	}
	all["list"] = string(list)
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
func compare(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for _, command := range sortedKeys(want) {
		if got[command] != want[command] {
			t.Errorf("%s, %s says\n%s\nand said before\n%s", when, command, got[command], want[command])
		}
	}
}

// What is said of sessions is the same when their VM runs, when it is stopped, when its
// machine was killed, and when it runs again.
func TestFault_AnswersAboutSessionsAreTheSameWhateverHasBecomeOfTheVM(t *testing.T) {
	i := installation.New(t, bin)
	vm := i.StartVM(t, "v")
	const print = "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; "
	start := func(name, then string) {
		i.MustRun(t, "session", "start", "v", "--name", name, "--stdin", "pipe", "--", "sh", "-c", print+then)
	}
	start("good", "exit 0")
	start("bad", "exit 3")
	for _, name := range []string{"good", "bad"} {
		i.Run(t, "session", "wait", "v", name)
	}
	start("stopped", "read x; echo $x; exec sleep 100000")
	i.MustRun(t, "session", "send", "v", "stopped", "--data", "in\n")
	i.MustRun(t, "session", "wait", "v", "stopped", "--match", "in")
	ended := answers(t, i, "good", "bad")
	i.MustRun(t, "vm", "stop", "v")
	compare(t, "of the stopped VM", answers(t, i, "good", "bad"), ended)
	ended = answers(t, i, "good", "bad", "stopped")
	i.MustRun(t, "vm", "start", "v")
	compare(t, "after the next boot", answers(t, i, "good", "bad", "stopped"), ended)

	start("late", "exit 4")
	i.Run(t, "session", "wait", "v", "late")
	start("killed", "read x; exec sleep 100000")
	i.MustRun(t, "session", "start", "v", "--name", "clock", "--", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
	i.MustRun(t, "session", "wait", "v", "killed", "--match", "out 5")
	i.MustRun(t, "session", "wait", "v", "clock", "--match", "tick")
	from := lastLineAt(t, i, "clock") // until the guest has had time to sync what was written
	installation.WaitFor(t, "the guest to have had time", func() bool { return lastLineAt(t, i, "clock").Sub(from) > 3*time.Second })
	ended = answers(t, i, "good", "bad", "stopped", "late")
	i.KillMachine(t, vm)
	installation.WaitFor(t, "the VM to be lost", func() bool { return show(t, i, "v").State == banger.VMFailed })
	compare(t, "after the kill", answers(t, i, "good", "bad", "stopped", "late"), ended)
	ended = answers(t, i, "good", "bad", "stopped", "late", "killed", "clock")
	if !strings.Contains(ended["show v killed --json"], string(banger.EndedByVMLost)) || !strings.Contains(ended["logs v killed --timestamps"], "err 5") {
		t.Errorf("of the killed session: %s%s", ended["show v killed --json"], ended["logs v killed --timestamps"])
	}
	i.MustRun(t, "vm", "start", "v")
	compare(t, "after the boot that followed the kill", answers(t, i, "good", "bad", "stopped", "late", "killed", "clock"), ended)
}

// The machine is killed while no daemon runs. The next one reads what became of the
// sessions, and does not make up when those have ended that nobody saw.
func TestFault_MachineThatEndsWithoutADaemonStillTellsWhatBecameOfItsSessions(t *testing.T) {
	i := installation.New(t, bin)
	vm := i.StartVM(t, "v")
	i.MustRun(t, "session", "start", "v", "--name", "ended", "--", "sh", "-c", "until test -e /root/go; do sleep 0.1; done; echo bye; exit 7")
	i.MustRun(t, "session", "start", "v", "--name", "running", "--", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
	i.MustRun(t, "session", "wait", "v", "running", "--match", "tick")
	ended := installation.JSON[banger.Session](t, i, "session", "show", "v", "ended")
	// The ssh goes on without the daemon. It tells what the guest's clock says, too.
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

	if r := i.Run(t, "session", "wait", "v", "running"); r.Code != 125 { // starts a daemon, which reads the disk
		t.Errorf("waiting for a session of a lost machine: %s", r)
	}
	list := installation.JSON[[]banger.Session](t, i, "session", "list", "v")
	for _, x := range list {
		if !x.Status.Ended() {
			t.Errorf("session %s: %+v", x.Name, x.SessionState)
		}
	}
	if x := list[0]; x.EndedBy != banger.EndedByExit || x.ExitCode == nil || *x.ExitCode != 7 || x.StdoutBytes != 4 || x.LastError != "" {
		t.Errorf("that had ended: %+v", x.SessionState)
	}
	x := list[1]
	log := i.MustRun(t, "session", "logs", "v", "running", "-n", "all")
	if x.EndedBy != banger.EndedByVMLost || x.StdoutBytes != int64(len(log)) || !strings.Contains(x.LastError, "last sign of life") {
		t.Errorf("that ran: %+v, and its log has %d bytes", x.SessionState, len(log))
	}
	if last := lastLineAt(t, i, "running"); x.EndedAt.Before(last) || x.EndedAt.After(killed) {
		t.Errorf("that ran wrote its last line at %v, was killed at %v, and has ended at %v", last, killed, x.EndedAt)
	}
	installation.WaitFor(t, "the VM to be lost", func() bool { return show(t, i, "v").State == banger.VMFailed })
}
