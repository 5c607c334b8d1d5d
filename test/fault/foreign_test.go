package fault

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"banger"
	"banger/test/fault/workload"
	"banger/test/wait"
)

// foreigner is a client that is not ours: a program in Python, made from
// docs/PROTOCOL.md, that is the writer of a session and comes and goes all the time.
type foreigner struct {
	cmd    *exec.Cmd
	dir    string // has its input, and its output
	report bytes.Buffer
	ended  chan error // gets how it ended
}

// foreignReport is what it says at its end.
type foreignReport struct {
	Exit        banger.SessionState
	Connections int
	Left        map[string]int // how it has left, and how often
}

// startForeigner starts one that leaves and comes back a number of times.
func startForeigner(r *rig, x banger.Session, input []byte, leaves int) *foreigner {
	r.t.Helper()
	f := &foreigner{dir: r.t.TempDir(), ended: make(chan error, 1)}
	at := func(name string) string { return filepath.Join(f.dir, name) }
	if err := os.WriteFile(at(inputFile), input, 0o600); err != nil {
		r.t.Fatal(err)
	}
	seed := strconv.Itoa(rand.IntN(1 << 30))
	f.cmd = exec.CommandContext(r.t.Context(), "python3", "-B", "testdata/client.py",
		"--socket", r.socket(), "--vm", "v", "--session", string(x.ID), "--seed", seed,
		"--input", at(inputFile), "--stdout", at(stdoutFile), "--stderr", at(stderrFile), "--leaves", strconv.Itoa(leaves))
	f.cmd.Stdout, f.cmd.Stderr = &f.report, prefixed{r.t.Output(), "client.py (seed " + seed + "): "}
	if err := f.cmd.Start(); err != nil {
		r.t.Fatalf("cannot start client.py: %v; it needs Debian's package python3", err)
	}
	go func() { f.ended <- f.cmd.Wait() }()
	return f
}

// received is how much output it has.
func (f *foreigner) received() (bytes int64) {
	for _, name := range []string{stdoutFile, stderrFile} {
		if info, err := os.Stat(filepath.Join(f.dir, name)); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// wait returns its report; it must have ended well.
func (f *foreigner) wait(t *testing.T) (report foreignReport) {
	t.Helper()
	if err := <-f.ended; err != nil {
		t.Fatalf("client.py: %v", err)
	}
	if err := json.Unmarshal(f.report.Bytes(), &report); err != nil {
		t.Fatalf("client.py reports %q: %v", f.report.Bytes(), err)
	}
	return report
}

// A client that is not ours comes and goes in every way there is, at any moment, with
// stdin on its way to a slow command, and its daemon is killed: each byte of each
// stream is there once and in order, and the exit comes last.
func TestFault_ForeignClientThatComesAndGoesLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	stormForeigner(onLoopback(t), storm{
		lines: sized(5_000, 200_000), input: sized(250, 2_000), longest: sized(10_000, 60_000), deaths: sized(3, 40), leaves: sized(60, 400),
	})
}

// storm says how large one is.
type storm struct {
	lines   int // of each stream
	input   int // lines of stdin
	longest int // of those
	deaths  int // of the daemon
	leaves  int // of the client's own will
}

func stormForeigner(r *rig, s storm) {
	t := r.t
	kept := filepath.Join(t.TempDir(), "stdin")
	input := stdinLines(s.input, s.longest)
	x := r.work("pace", "pace", strconv.Itoa(s.lines), strconv.Itoa(max(1, s.lines*(4<<10)/len(input))), kept)
	var out, errs bytes.Buffer
	for n := range s.lines {
		workload.WritePaced(&out, &errs, n)
	}
	out.WriteString("last\n")
	size := int64(out.Len() + errs.Len())
	f := startForeigner(r, x, input, s.leaves)
	for n := range s.deaths {
		moment := size*int64(n)/int64(s.deaths) + rand.N(size/int64(s.deaths))
		wait.For(t, fmt.Sprintf("byte %d", moment), func() bool { return f.received() >= moment || len(f.ended) > 0 })
		r.killDaemon()
	}
	report := f.wait(t)
	for name, want := range map[string][]byte{stdoutFile: out.Bytes(), stderrFile: errs.Bytes()} {
		if got, err := os.ReadFile(filepath.Join(f.dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes with the sum %x, want %d with %x: %v", name, len(got), sha256.Sum256(got), len(want), sha256.Sum256(want), err)
		}
	}
	if got, err := os.ReadFile(kept); err != nil || !bytes.Equal(got, input) {
		t.Errorf("the command has read %d bytes that are not the %d of stdin: %v %s", len(got), len(input), err, firstDifference(got, input))
	}
	if code := report.Exit.ExitCode; code == nil || *code != 7 || report.Exit.StdinOffset != int64(len(input)) {
		t.Errorf("the exit is %+v", report.Exit)
	}
	t.Logf("%d connections, left by: %v", report.Connections, report.Left)
}

// stdinLines are lines of stdin, in which each place says where it is.
func stdinLines(count, longest int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	var lines bytes.Buffer
	for n := range count {
		fmt.Fprintf(&lines, "stdin line %d", n)
		for end := lines.Len() + random.IntN(longest); lines.Len() < end; {
			fmt.Fprintf(&lines, " %d", lines.Len())
		}
		lines.WriteByte('\n')
	}
	return lines.Bytes()
}

// firstDifference says where two texts part.
func firstDifference(got, want []byte) string {
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	return fmt.Sprintf("from byte %d on: %.60q, want %.60q", n, got[n:], want[n:])
}
