package sessiondir_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// epoch is when the sessions of these tests begin.
var epoch = time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC)

// write is one read of a session's output by its shim.
type write struct {
	stream banger.Stream
	data   string
	at     time.Duration // since epoch
}

// session writes a session's output and returns its directory.
func session(t *testing.T, writes ...write) string {
	t.Helper()
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	now := epoch
	for _, x := range writes {
		now = epoch.Add(x.at)
		if n, err := w.Append(x.stream, []byte(x.data), now); n != len(x.data) || err != nil {
			t.Fatalf("Append = %d, %v", n, err)
		}
	}
	if err := w.Sync(now); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	return dir
}

// readAll reads a stream from a position in pages of limit bytes.
func readAll(t testing.TB, r *sessiondir.Reader, stream banger.Stream, from banger.LogCursor, limit int) []banger.LogChunk {
	t.Helper()
	var all []banger.LogChunk
	for {
		chunks, next, atEnd, err := r.Page(stream, from, limit)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, c := range chunks {
			total += len(c.Data)
		}
		if total > limit {
			t.Fatalf("a page of %d bytes has %d", limit, total)
		}
		all = append(all, chunks...)
		if atEnd {
			return all
		}
		if next == from {
			t.Fatal("a page that is not at the end makes no progress")
		}
		from = next
	}
}

func text(chunks []banger.LogChunk, stream banger.Stream) string {
	var b strings.Builder
	for _, c := range chunks {
		if stream == banger.StreamBoth || stream == c.Stream {
			b.Write(c.Data)
		}
	}
	return b.String()
}

// TestJournal_IsAsDocumented compares a journal with the bytes that the package
// comment promises, so that the format cannot change unnoticed.
func TestJournal_IsAsDocumented(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	at := func(d time.Duration) time.Time { return time.UnixMicro(1 << 40).Add(d) }
	mustAppend(t, w, banger.StreamStdout, []byte("hello"), at(0))
	mustAppend(t, w, banger.StreamStdout, bytes.Repeat([]byte("x"), 195), at(10*time.Millisecond)) // added in place
	mustAppend(t, w, banger.StreamStderr, []byte("oops"), at(300*time.Microsecond))
	must(t, w.AcceptStdin(3, at(400*time.Microsecond)))
	must(t, w.CloseStdin(at(400*time.Microsecond)))
	want := "626e676a" + "01" + "000000" + "0000010000000000" + // magic, version, zero, time
		"0000000000000000" + "0000000000000000" + "0000000000000000" + "1719ccf0" + "00000000" +
		"01" + "00" + "c88100" + // stdout, 0 µs, 200 bytes
		"02" + "ac02" + "848000" + // stderr, 300 µs, 4 bytes
		"03" + "64" + "838000" + // stdin, 100 µs, 3 bytes
		"04" + "00" + "00"
	got, err := os.ReadFile(filepath.Join(dir, sessiondir.JournalName))
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("journal is\n%x\nwant\n%s\n%v", got, want, err)
	}
}

// TestReader_ReturnsOutputInTheOrderAndWithTheTimesOfItsWriting also proves that
// it does so over block and page borders, from any position.
func TestReader_ReturnsOutputInTheOrderAndWithTheTimesOfItsWriting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var writes []write
	var at time.Duration
	for i := range 5000 {
		stream := banger.StreamStdout
		if rng.IntN(3) == 0 {
			stream = banger.StreamStderr
		}
		at += 60 * time.Millisecond // so that every write is a record of its own
		writes = append(writes, write{stream, fmt.Sprintf("%d%s\n", i, strings.Repeat(".", rng.IntN(40))), at})
	}
	r := sessiondir.NewReader(os.DirFS(session(t, writes...)))
	chunks := readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 1<<20)
	if len(chunks) != len(writes) {
		t.Fatalf("%d chunks, want %d", len(chunks), len(writes))
	}
	var position banger.LogCursor
	for i, c := range chunks {
		want := writes[i]
		if c.Stream != want.stream || string(c.Data) != want.data || !c.Time.Equal(epoch.Add(want.at)) {
			t.Fatalf("chunk %d is %v, want %v", i, c, want)
		}
		if i%977 == 0 { // from here on, in small pages
			rest := readAll(t, r, banger.StreamBoth, position, 1000)
			if got, want := text(rest, banger.StreamBoth), text(chunks[i:], banger.StreamBoth); got != want {
				t.Errorf("from %v: got %d bytes, want %d", position, len(got), len(want))
			}
			rest = readAll(t, r, banger.StreamStderr, position, 777)
			if got, want := text(rest, banger.StreamBoth), text(chunks[i:], banger.StreamStderr); got != want {
				t.Errorf("stderr from %v: got %d bytes, want %d", position, len(got), len(want))
			}
		}
		if c.Stream == banger.StreamStdout {
			position.Stdout += int64(len(c.Data))
		} else {
			position.Stderr += int64(len(c.Data))
		}
	}
}

func TestWriter_ClockSetBackIsTold(t *testing.T) {
	dir := session(t,
		write{banger.StreamStdout, "before\n", time.Hour},
		write{banger.StreamStderr, "a little earlier\n", time.Hour - time.Microsecond},
		write{banger.StreamStdout, "after\n", 0})
	chunks := readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamBoth, banger.LogCursor{}, 100)
	var times []time.Duration
	for _, c := range chunks {
		times = append(times, c.Time.Sub(epoch))
	}
	if want := []time.Duration{time.Hour, time.Hour, 0}; fmt.Sprint(times) != fmt.Sprint(want) {
		t.Errorf("times are %v, want %v", times, want)
	}
}

func TestWriter_TerminalHasNoStderr(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Append(banger.StreamStderr, []byte("x"), epoch); err == nil {
		t.Error("stderr was taken")
	}
	if _, err := os.Stat(filepath.Join(dir, sessiondir.StderrName)); err == nil {
		t.Error("there is a stderr log")
	}
	mustAppend(t, w, banger.StreamStdout, []byte("out"), epoch)
	if got := text(readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamBoth, banger.LogCursor{}, 10), banger.StreamBoth); got != "out" {
		t.Errorf("read %q", got)
	}
	if w.Size(banger.StreamStdout) != 3 || w.Size(banger.StreamStderr) != 0 {
		t.Errorf("sizes are %d and %d", w.Size(banger.StreamStdout), w.Size(banger.StreamStderr))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustAppend appends output that has to be kept whole.
func mustAppend(t testing.TB, w *sessiondir.Writer, stream banger.Stream, p []byte, at time.Time) {
	t.Helper()
	if n, err := w.Append(stream, p, at); err != nil || n != len(p) {
		t.Fatalf("%d of %d bytes were kept: %v", n, len(p), err)
	}
}
