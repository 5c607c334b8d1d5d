package fault

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
	"banger/sessionstream"
)

// roundBytes is what a gauge writes in a round: two of them fill what is between a
// session and a viewer that does not read.
func roundBytes() int { return sized(8<<20, 16<<20) }

// gauge is a session that writes a lot whenever it is told to, and says how long
// that took.
type gauge struct {
	t       *testing.T
	session banger.Session
	log     *os.File // of the session
	control *os.File
	results *bufio.Reader
}

func newGauge(r *rig, name string) *gauge {
	dir := r.t.TempDir()
	control, results := filepath.Join(dir, "control"), filepath.Join(dir, "results")
	for _, fifo := range []string{control, results} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	g := &gauge{t: r.t, session: r.self(name, "gauge", control, results, strconv.Itoa(roundBytes()))}
	var err error
	if g.control, err = os.OpenFile(control, os.O_WRONLY, 0); err != nil {
		r.t.Fatal(err)
	}
	f, err := os.Open(results)
	if err != nil {
		r.t.Fatal(err)
	}
	g.results = bufio.NewReader(f)
	g.log, err = os.Open(filepath.Join(r.guests.SessionsDir(g.session.VMID), string(g.session.ID), sessiondir.StdoutName))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { g.control.Close(); f.Close(); g.log.Close() })
	return g
}

// measure has it write once, while the disk is at rest: it is slower than a session.
func (g *gauge) measure() time.Duration {
	g.t.Helper()
	if err := g.log.Sync(); err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.control.Write([]byte{'x'}); err != nil {
		g.t.Fatal(err)
	}
	line, err := g.results.ReadString('\n')
	took, parseErr := time.ParseDuration(strings.TrimSpace(line))
	if err != nil || parseErr != nil {
		g.t.Fatal(err, parseErr)
	}
	return took
}

// share returns the throughput of g as a ratio to that of other, measured in turns:
// what else the machine does hits both. It is the median of rounds.
func (g *gauge) share(other *gauge, rounds int) float64 {
	g.t.Helper()
	ratios := make([]float64, rounds)
	for n := range ratios {
		theirs := other.measure()
		ratios[n] = float64(theirs) / float64(g.measure())
	}
	slices.Sort(ratios)
	return ratios[rounds/2]
}

// runGauge is the command of a gauge.
func runGauge(controlPath, resultsPath, round string) error {
	size, err := strconv.Atoi(round)
	if err != nil {
		return err
	}
	control, err := os.Open(controlPath)
	if err != nil {
		return err
	}
	results, err := os.OpenFile(resultsPath, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for n := byte(0); ; n++ {
		if _, err := control.Read(make([]byte, 1)); err != nil {
			return nil //nolint:nilerr // who closes the fifo ends it
		}
		begun := time.Now()
		for left := size; left > 0; left -= len(block) {
			for i := range block {
				block[i] = n + byte(i*i>>3) + byte(left>>16)
			}
			if _, err := os.Stdout.Write(block); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(results, time.Since(begun)); err != nil {
			return err
		}
	}
}

// watcher is a viewer in a process of its own.
type watcher struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func newWatcher(r *rig, x banger.Session) *watcher {
	w := &watcher{cmd: r.role("watcher", string(x.ID))}
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait()
	})
	w.out = bufio.NewReader(out)
	return w
}

func (w *watcher) readLine(t *testing.T) string {
	t.Helper()
	line, err := w.out.ReadString('\n')
	if err != nil {
		t.Fatalf("a viewer has ended: %v", err)
	}
	return strings.TrimSpace(line)
}

// runWatcher says where its output begins, and at the end what it has seen.
func runWatcher(ctx context.Context, session string) error {
	a, err := open(ctx, session, sessionstream.Attach{Role: sessionstream.RoleViewer})
	if err != nil {
		return err
	}
	fmt.Println(a.Attached().Output.Stdout)
	seen, size := sha256.New(), 0
	for {
		m, err := a.Receive()
		if errors.Is(err, io.EOF) {
			fmt.Printf("%d %x\n", size, seen.Sum(nil))
			return nil
		}
		if err != nil {
			return err
		}
		seen.Write(m.Data)
		size += len(m.Data)
	}
}

// memory returns how much of a process is in memory, in bytes; proc(5).
func memory(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 2 {
		t.Fatalf("the memory of process %d is %q, %v", pid, data, err)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// Clients that are stopped (SIGSTOP) cost the session neither time nor memory, and
// each has everything in the end.
func TestFault_FrozenViewersCostNothingAndCatchUp(t *testing.T) {
	viewers, rounds := sized(4, 50), sized(9, 15)
	r := newRig(t)
	g, other := newGauge(r, "watched"), newGauge(r, "other")
	g.share(other, 3)
	alone := g.share(other, rounds)

	watchers := make([]*watcher, viewers)
	for n := range watchers {
		watchers[n] = newWatcher(r, g.session)
	}
	begin := watchers[0].readLine(t)
	for _, w := range watchers[1:] {
		if at := w.readLine(t); at != begin {
			t.Fatalf("viewers begin at %s and at %s", begin, at)
		}
	}
	for _, w := range watchers {
		if err := w.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	processes := map[string]int{"daemon": r.daemon.Process.Pid, "shim": parent(t, g.session.GuestPID)}
	g.share(other, 2) // what is between a viewer and its session fills up
	for _, pid := range processes {
		waitIdle(t, pid)
	}
	before := map[string]int64{}
	for name, pid := range processes {
		before[name] = memory(t, pid)
	}
	ratio := g.share(other, rounds) / alone
	for tries := 0; tries < 6 && ratio < 0.95; tries++ {
		ratio = max(ratio, g.share(other, rounds)/alone)
	}
	t.Logf("beside %d frozen viewers the session has %.2f of its throughput", viewers, ratio)
	if ratio < 0.95 {
		t.Error("that is too little")
	}
	for _, pid := range processes {
		waitIdle(t, pid)
	}
	for name, pid := range processes {
		grown := memory(t, pid) - before[name]
		t.Logf("the %s has %d KiB, %d more than before", name, (before[name]+grown)>>10, grown>>10)
		if grown > 2<<20 {
			t.Errorf("the %s has grown by %d KiB", name, grown>>10)
		}
	}

	for _, w := range watchers {
		if err := w.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	g.control.Close() // the session ends
	want := logFrom(t, r, g.session, begin)
	for n, w := range watchers {
		if got := w.readLine(t); got != want {
			t.Errorf("viewer %d has seen %s, want %s", n, got, want)
		}
	}
}

// logFrom describes the log of a session, from an offset to its end, as a watcher
// does.
func logFrom(t *testing.T, r *rig, x banger.Session, offset string) string {
	t.Helper()
	at, err := strconv.ParseInt(offset, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of the session", func() bool {
		now, err := r.client().GetSession(t.Context(), "v", string(x.ID))
		return err == nil && now.Status.Ended()
	})
	seen, size := sha256.New(), 0
	_, err = r.client().ReadLogs(t.Context(), "v", string(x.ID), banger.LogRequest{Stream: banger.StreamStdout, Cursor: &banger.LogCursor{Stdout: at}},
		func(c banger.LogChunk) error {
			seen.Write(c.Data)
			size += len(c.Data)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %x", size, seen.Sum(nil))
}

// parent returns the parent of a process.
func parent(t *testing.T, pid int) int {
	t.Helper()
	ppid, err := strconv.Atoi(processStat(t, pid)[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// waitIdle waits until a process has nothing left to do.
func waitIdle(t *testing.T, pid int) {
	t.Helper()
	last, since := "", time.Now()
	waitFor(t, fmt.Sprintf("process %d to rest", pid), func() bool {
		stat := processStat(t, pid)
		if now := stat[11] + " " + stat[12]; now != last { // its time on a CPU
			last, since = now, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
}

// processStat returns the fields of /proc/PID/stat, from state on; proc(5).
func processStat(t *testing.T, pid int) []string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}
