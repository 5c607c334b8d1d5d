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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/sessionstream"
	"banger/test/wait"
)

// gauge is a session that writes a lot whenever it is told to, and says so on stderr.
type gauge struct {
	r       *rig
	session banger.Session
	round   int   // bytes
	written int64 // bytes, in all rounds
	said    *bufio.Reader
}

func newGauge(r *rig, name string, round int) *gauge {
	r.t.Helper()
	g := &gauge{r: r, round: round, session: r.work(name, "gauge", strconv.Itoa(round))}
	said, write := io.Pipe()
	r.t.Cleanup(func() { said.Close() })
	g.said = bufio.NewReader(said)
	go func() {
		request := banger.LogRequest{Stream: banger.StreamStderr, Follow: true, Cursor: &banger.LogCursor{}}
		_, err := r.client().ReadLogs(r.t.Context(), "v", string(g.session.ID), request, func(c banger.LogChunk) error {
			_, err := write.Write(c.Data)
			return err
		})
		write.CloseWithError(err)
	}()
	return g
}

// write has it write so many rounds.
func (g *gauge) write(rounds int) {
	g.r.t.Helper()
	for range rounds {
		g.send("x", false)
		if _, err := g.said.ReadString('\n'); err != nil {
			g.r.t.Fatal(err)
		}
		g.written += int64(g.round)
	}
}

func (g *gauge) send(text string, eof bool) {
	g.r.t.Helper()
	request := banger.SendRequest{Data: strings.NewReader(text), EOF: eof}
	if _, err := g.r.client().SendSession(g.r.t.Context(), "v", string(g.session.ID), request); err != nil {
		g.r.t.Fatal(err)
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
func runWatcher(ctx context.Context, socket, session string) error {
	a, err := open(ctx, socket, session, sessionstream.Attach{Role: sessionstream.RoleViewer})
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
		if m.Stream == banger.StreamStdout {
			seen.Write(m.Data)
			size += len(m.Data)
		}
	}
}

// memory returns how much memory a process has that is not a file's, in bytes; proc(5).
func memory(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), "RssAnon:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatalf("the memory of process %d: %v", pid, err)
	}
	return kib << 10
}

// Clients that are stopped (SIGSTOP) cost the session neither time nor memory, and
// each has everything in the end.
func TestFault_FrozenViewersCostNothingAndCatchUp(t *testing.T) {
	freezeViewers(onLoopback(t), sized(3, 50), sized(4<<20, 16<<20), sized(3, 15))
}

// freezeViewers freezes viewers of a session that writes in rounds. Two rounds must
// fill what is between a session and a viewer that does not read.
func freezeViewers(r *rig, viewers, round, rounds int) {
	t := r.t
	g := newGauge(r, "watched", round)
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
	processes := map[string]int{"daemon": r.daemonPID()}
	shim := r.shimPID(g.session)
	if shim != 0 {
		processes["shim"] = shim
	}
	g.write(2) // what is between a viewer and its session fills up
	before := map[string]int64{}
	for name, pid := range processes {
		waitIdle(t, pid)
		before[name] = memory(t, pid)
	}
	read, written := bytesRead(t, shim), g.written
	g.write(rounds)
	read, written = bytesRead(t, shim)-read, g.written-written
	for name, pid := range processes {
		waitIdle(t, pid)
		grown := memory(t, pid) - before[name]
		t.Logf("the %s has %d KiB, %d more than before", name, (before[name]+grown)>>10, grown>>10)
		if grown > written/2 {
			t.Errorf("the %s has grown by %d KiB", name, grown>>10)
		}
	}
	// What the shim reads is what the session writes: nothing for those who wait.
	if shim != 0 && read > written+written/100 {
		t.Errorf("the shim has read %d bytes for the %d that were written", read, written)
	}

	for _, w := range watchers {
		if err := w.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	g.send("", true) // the session ends
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
	wait.For(t, "the end of the session", func() bool {
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

// bytesRead is what a process has read from everywhere; proc(5). It is 0 for pid 0.
func bytesRead(t *testing.T, pid int) int64 {
	t.Helper()
	if pid == 0 {
		return 0
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscanf(string(data), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// waitIdle waits until a process has nothing left to do.
func waitIdle(t *testing.T, pid int) {
	t.Helper()
	last, since := "", time.Now()
	wait.For(t, fmt.Sprintf("process %d to rest", pid), func() bool {
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
