package sessiondir_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// gapOf is how many bytes of a stream are told not to be kept any more.
func gapOf(chunks []banger.LogChunk, stream banger.Stream) (n int64) {
	for _, c := range chunks {
		if c.Stream == stream {
			n += c.Gap
		}
	}
	return n
}

// limitedJournal is that of a session of which output has been given up.
func limitedJournal(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, false, 64<<10)
	must(t, err)
	for i := range 400 {
		mustAppend(t, w, banger.StreamStdout, make([]byte, 1000), epoch.Add(time.Duration(i)*time.Second))
	}
	must(t, w.Close())
	journal, err := os.ReadFile(filepath.Join(dir, sessiondir.JournalName))
	must(t, err)
	return journal
}

// pattern is output in lines of 97 bytes, of which each tells its position and none is zero.
func pattern(from int64, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((from+int64(i))%199) + 32
		if (from+int64(i))%97 == 96 {
			p[i] = '\n'
		}
	}
	return p
}

// checkCovers checks that chunks are a stream from a position to an end, each byte
// once or told to be missing, for the log limit or one of the given reasons, and returns
// how many are.
func checkCovers(t testing.TB, chunks []banger.LogChunk, stream banger.Stream, from, end int64, reasons ...string) (missing int64) {
	t.Helper()
	reasons = append(reasons, banger.GapLogLimit)
	for _, c := range chunks {
		if c.Stream != stream {
			continue
		}
		if c.Offset != from || !bytes.Equal(c.Data, pattern(from, len(c.Data))) || c.Gap > 0 && !slices.Contains(reasons, c.Reason) {
			t.Fatalf("the piece at %d of %s does not follow %d: %d bytes, a gap of %d for %q", c.Offset, stream, from, len(c.Data), c.Gap, c.Reason)
		}
		from += int64(len(c.Data)) + c.Gap
		missing += c.Gap
	}
	if from != end {
		t.Fatalf("%s ends at %d of %d", stream, from, end)
	}
	return missing
}

// onDisk is how much of a file is.
func onDisk(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestWriter_KeepsTheNewestAndOffsetsStayTrue(t *testing.T) {
	const limit = 128 << 10
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, false, limit)
	must(t, err)
	defer w.Close()
	random := rand.New(rand.NewPCG(3, 4))
	size := map[banger.Stream]int64{}
	now := epoch
	for range 2000 {
		stream := banger.StreamStdout
		if random.IntN(20) == 0 {
			stream = banger.StreamStderr
		}
		now = now.Add(time.Duration(random.IntN(100)) * time.Millisecond)
		p := pattern(size[stream], 1+random.IntN(4000))
		mustAppend(t, w, stream, p, now)
		size[stream] += int64(len(p))
	}
	for name, max := range map[string]int64{sessiondir.StdoutName: limit + 8<<10, sessiondir.StderrName: limit + 8<<10} {
		if n := onDisk(t, filepath.Join(dir, name)); n > max || n < limit*3/4 {
			t.Errorf("%s takes %d bytes of the disk", name, n)
		}
	}
	for _, r := range []*sessiondir.Reader{sessiondir.NewReader(os.DirFS(dir)), sessiondir.NewLiveReader(os.DirFS(dir))} {
		chunks := readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 10_000)
		for _, stream := range []banger.Stream{banger.StreamStdout, banger.StreamStderr} {
			missing := checkCovers(t, chunks, stream, 0, size[stream])
			if missing == 0 || size[stream]-missing > limit {
				t.Errorf("of %d bytes of %s %d are missing", size[stream], stream, missing)
			}
			checkCovers(t, readAll(t, r, stream, banger.LogCursor{Stdout: 1000, Stderr: 1000}, 10_000), stream, 1000, size[stream])
		}
		near := banger.LogCursor{Stdout: size[banger.StreamStdout] - 5000}
		if n := checkCovers(t, readAll(t, r, banger.StreamStdout, near, 100), banger.StreamStdout, near.Stdout, size[banger.StreamStdout]); n != 0 {
			t.Errorf("%d bytes are missing near the end", n)
		}
		few, err := r.Tail(t.Context(), banger.StreamStdout, 3)
		must(t, err)
		if n := size[banger.StreamStdout] - few.Stdout; n < 2*97 || n > 3*97 {
			t.Errorf("three lines of 97 bytes have %d", n)
		}
		all, err := r.Tail(t.Context(), banger.StreamStdout, 1<<20)
		must(t, err)
		if n := gapOf(readAll(t, r, banger.StreamStdout, all, 10_000), banger.StreamStdout); n != 0 || all.Stdout == 0 {
			t.Errorf("the last million lines begin at %d and %d bytes of them are missing", all.Stdout, n)
		}
	}
}

// busyFS has something happen just before the first piece of stdout is read.
type busyFS struct {
	fs.FS
	before func()
}

type busyFile struct {
	*os.File
	fsys *busyFS
}

func (b *busyFS) Open(name string) (fs.File, error) {
	f, err := b.FS.Open(name)
	if file, ok := f.(*os.File); ok && name == sessiondir.StdoutName {
		return busyFile{file, b}, err
	}
	return f, err
}

func (f busyFile) ReadAt(p []byte, off int64) (int, error) {
	if before := f.fsys.before; before != nil {
		f.fsys.before = nil
		before()
	}
	return f.File.ReadAt(p, off)
}

func TestReader_WhatIsGivenUpWhileItIsReadIsAGap(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, true, 64<<10)
	must(t, err)
	defer w.Close()
	write := func(from, n int64) {
		for at := from; at < from+n; at += 1000 {
			mustAppend(t, w, banger.StreamStdout, pattern(at, 1000), epoch.Add(time.Duration(at)*time.Millisecond))
		}
	}
	write(0, 50_000)
	fsys := &busyFS{FS: os.DirFS(dir), before: func() { write(50_000, 300_000) }}
	chunks, _, _, err := sessiondir.NewLiveReader(fsys).Page(banger.StreamStdout, banger.LogCursor{}, 10_000)
	must(t, err)
	if missing := checkCovers(t, chunks, banger.StreamStdout, 0, chunks[len(chunks)-1].Offset+int64(len(chunks[len(chunks)-1].Data))); missing == 0 {
		t.Error("nothing is told to be missing")
	}

	f, err := w.Follow(banger.LogCursor{Stdout: 349_000})
	must(t, err)
	_, n := f.Run()
	write(350_000, 200_000)
	if err := f.Read(make([]byte, n)); !errors.Is(err, sessiondir.ErrGap) {
		t.Errorf("a follower that was overtaken reads: %v", err)
	}
	if gap, ok := f.Gap(); !ok || gap.Offset != 349_000 || gap.Offset+gap.Gap < 400_000 {
		t.Errorf("it is told of a gap %+v", gap)
	}
}

func TestReader_TakesNoHoleForOutputWhenTheJournalIsDamaged(t *testing.T) {
	for name, damage := range map[string]func(journal []byte) []byte{
		"the last block": func(j []byte) []byte { j[len(j)/4096*4096+20] ^= 1; return j },
		"all of it":      func([]byte) []byte { return nil },
	} {
		dir := t.TempDir()
		w, err := sessiondir.OpenWriter(dir, true, 64<<10)
		must(t, err)
		const size = 900 << 10
		for at := int64(0); at < size; at += 1 << 10 {
			mustAppend(t, w, banger.StreamStdout, pattern(at, 1<<10), epoch.Add(time.Duration(at)*time.Millisecond))
		}
		must(t, w.Close())
		path := filepath.Join(dir, sessiondir.JournalName)
		journal, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, damage(journal), 0o600))
		missing := checkCovers(t, readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamStdout, banger.LogCursor{}, 10_000), banger.StreamStdout, 0, size, banger.GapUnknown)
		if missing < size-64<<10 {
			t.Errorf("%s: %d bytes are told to be missing", name, missing)
		}
	}
}

func TestReader_TakesNoZerosForOutputThatACrashHasLeft(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, true, 0)
	must(t, err)
	mustAppend(t, w, banger.StreamStdout, []byte("synced zeros:\x00\x00"), epoch)
	must(t, w.Sync(epoch))
	mustAppend(t, w, banger.StreamStdout, []byte("more\x00more"), epoch.Add(time.Second))
	must(t, w.Close())
	log := filepath.Join(dir, sessiondir.StdoutName)
	for _, c := range []struct {
		size  int64 // of the log
		state string
		want  string
	}{
		{5000, "running", "synced zeros:\x00\x00more\x00more"},
		{24, "running", "synced zeros:\x00\x00more\x00more"},
		{20, "running", "synced zeros:\x00\x00more"},
		{15, "running", "synced zeros:\x00\x00"},
		{30, "exited", "synced zeros:\x00\x00more\x00more\x00\x00\x00\x00\x00\x00"}, // as its shim said
	} {
		must(t, os.WriteFile(log, []byte("synced zeros:\x00\x00more\x00more"), 0o600))
		must(t, os.Truncate(log, c.size))
		must(t, sessiondir.WriteState(dir, sessiondir.State{ID: banger.NewSessionID(), SessionState: banger.SessionState{Status: banger.Status(c.state)}}))
		r := sessiondir.NewReader(os.DirFS(dir))
		if got := text(readAll(t, r, banger.StreamStdout, banger.LogCursor{}, 7), banger.StreamStdout); got != c.want {
			t.Errorf("a log of %d bytes, %s: %q", c.size, c.state, got)
		}
		if chunks, next, atEnd, err := r.Page(banger.StreamStdout, banger.LogCursor{Stdout: 40}, 10); c.state == "running" && (err != nil || len(chunks) > 0 || next.Stdout != 40 || !atEnd) {
			t.Errorf("a log of %d bytes, %s, where it was read before the crash: %v up to %+v, %v", c.size, c.state, chunks, next, err)
		}
		if totals, err := r.Totals(); err != nil || totals.Stdout != int64(len(c.want)) {
			t.Errorf("a log of %d bytes, %s: %+v, %v", c.size, c.state, totals, err)
		}
	}
}

// A journal that says nothing of output, at any length, costs a reader no time.
func TestReader_TailOfALongEmptyJournalEndsSoon(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, true, 0)
	must(t, err)
	mustAppend(t, w, banger.StreamStdout, []byte("one\ntwo\n"), epoch)
	for i := range 4000 { // the clock goes back each time: a block for each
		must(t, w.AcceptStdin(0, epoch.Add(-time.Duration(i)*time.Hour)))
		must(t, w.AcceptStdin(1, epoch.Add(-time.Duration(i)*time.Hour)))
	}
	must(t, w.Close())
	fsys := countingFS{os.DirFS(dir), map[string]int64{}}
	at, err := sessiondir.NewReader(fsys).Tail(t.Context(), banger.StreamStdout, 1)
	if err != nil || at.Stdout != 4 {
		t.Errorf("the last line begins at %+v, %v", at, err)
	}
	if n := fsys.read[sessiondir.JournalName]; n > 10<<20 {
		t.Errorf("read %d bytes of the journal", n)
	}
}
