//go:build !unit

package sessiondir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// When others have taken the disk up to its last part, logs give back as much as they
// grow by, long before the disk is full; and when there is room again, they grow.
func TestWriter_LeavesTheLastOfTheDiskToOthers(t *testing.T) {
	disk := mountTmpfs(t, "32M") // of which 4 MiB are the reserve
	dir := filepath.Join(disk, "session")
	must(t, os.Mkdir(dir, 0o700))
	w, err := sessiondir.OpenWriter(dir, true, 0)
	must(t, err)
	defer w.Close()
	at := int64(0)
	write := func(n int64) {
		for end := at + n; at < end; at += 10_000 {
			mustAppend(t, w, banger.StreamStdout, pattern(at, 10_000), epoch.Add(time.Duration(at)*time.Microsecond))
		}
	}
	log := filepath.Join(dir, sessiondir.StdoutName)
	write(2 << 20)
	free := fillDisk(t, disk)
	must(t, os.Truncate(filepath.Join(disk, "filler"), 27<<20)) // leaves 3 MiB
	before := onDisk(t, log)
	write(10 << 20)
	if n := onDisk(t, log); n > before+100<<10 || n < before*3/4 {
		t.Errorf("a log of %d bytes has %d after it wrote on", before, n)
	}
	missing := checkCovers(t, readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamStdout, banger.LogCursor{}, 100_000), banger.StreamStdout, 0, at, banger.GapDiskReserve)
	free()
	before = onDisk(t, log)
	write(10 << 20)
	if n := onDisk(t, log); n < before+10<<20 {
		t.Errorf("with room again a log of %d bytes has %d", before, n)
	}
	if n := checkCovers(t, readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamStdout, banger.LogCursor{}, 100_000), banger.StreamStdout, 0, at, banger.GapDiskReserve); n > missing+200<<10 {
		t.Errorf("with room again %d bytes are given up beside %d", n-missing, missing)
	}
}

// On a full disk the newest output costs the oldest.
func TestWriter_OnAFullDiskItsOldestGoFirst(t *testing.T) {
	for name, mount := range smallDisks {
		disk := mount(t)
		dir := filepath.Join(disk, "session")
		must(t, os.Mkdir(dir, 0o700))
		w, err := sessiondir.OpenWriter(dir, true, 0)
		must(t, err)
		mustAppend(t, w, banger.StreamStdout, pattern(0, 400<<10), epoch)
		fillDisk(t, disk)
		const size = 400<<10 + 64*50_000
		for at := int64(400 << 10); at < size; at += 50_000 {
			mustAppend(t, w, banger.StreamStdout, pattern(at, 50_000), epoch.Add(time.Duration(at)*time.Millisecond))
		}
		chunks := readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamStdout, banger.LogCursor{}, 100_000)
		if missing := checkCovers(t, chunks, banger.StreamStdout, 0, size, allReasons...); size-missing < banger.MinLogLimit {
			t.Errorf("%s: only %d bytes are kept", name, size-missing)
		}
		if !strings.HasSuffix(chunks[0].Reason, banger.GapDiskFull) {
			t.Errorf("%s: the reason is %q", name, chunks[0].Reason)
		}
		must(t, w.Close())
	}
}

// The journal of a log that is shortened is, too: it says when what is kept was written,
// and all counts, and takes no more of the disk than that needs.
func TestWriter_ShortensTheJournalWithTheLog(t *testing.T) {
	for name, early := range map[string]string{"": "", "with a word on stderr at the beginning": "warning: old\n"} {
		dir := t.TempDir()
		w, err := sessiondir.OpenWriter(dir, false, 64<<10)
		must(t, err)
		if early != "" {
			mustAppend(t, w, banger.StreamStderr, []byte(early), epoch)
		}
		const lines = 250_000 // each with a time of its own
		for i := range lines {
			mustAppend(t, w, banger.StreamStdout, fmt.Appendf(nil, "%7d\n", i), epoch.Add(time.Duration(i)*time.Second))
			if i%10 == 0 {
				must(t, w.AcceptStdin(3, epoch.Add(time.Duration(i)*time.Second)))
			}
		}
		must(t, w.Close())
		path := filepath.Join(dir, sessiondir.JournalName)
		info, err := os.Stat(path)
		must(t, err)
		most := int64(128 << 10)
		if early != "" {
			most = 1<<20 + 64<<10
		}
		if n := onDisk(t, path); n > most || info.Size() < most+most/2 {
			t.Errorf("%q: a journal of %d bytes takes %d of the disk", name, info.Size(), n)
		}
		for _, r := range []*sessiondir.Reader{sessiondir.NewReader(os.DirFS(dir)), sessiondir.NewLiveReader(os.DirFS(dir))} {
			start, err := r.Tail(t.Context(), banger.StreamBoth, 5000)
			must(t, err)
			tail := readAll(t, r, banger.StreamStdout, start, 10_000)
			for i, c := range tail {
				if n := lines - 5000 + i; string(c.Data) != fmt.Sprintf("%7d\n", n) || !c.Time.Equal(epoch.Add(time.Duration(n)*time.Second)) {
					t.Fatalf("%q: line %d is %q of %v", name, n, c.Data, c.Time)
				}
			}
			all := readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 10_000)
			if text(all, banger.StreamStderr) != early || gapOf(all, banger.StreamStdout)+int64(len(text(all, banger.StreamStdout))) != lines*8 {
				t.Errorf("%q: not all is told", name)
			}
			if totals, err := r.Totals(); err != nil || totals.Stdin != lines/10*3 || totals.Stdout != lines*8 {
				t.Errorf("%q: totals are %+v, %v", name, totals, err)
			}
		}
	}
}

// A block that records a loss is kept as long as the loss is.
func TestWriter_ShortenedJournalForgetsNoLoss(t *testing.T) {
	dir := mountTmpfs(t, "8M")
	w, err := sessiondir.OpenWriter(dir, false, 64<<10)
	must(t, err)
	defer w.Close()
	mustAppend(t, w, banger.StreamStderr, pattern(0, 1000), epoch)
	free := fillDisk(t, dir)
	const size = 20_000
	for at := int64(1000); at < size; at += 1000 {
		_, _ = w.Append(banger.StreamStderr, pattern(at, 1000), epoch.Add(time.Duration(at)*time.Second))
	}
	free()
	mustAppend(t, w, banger.StreamStderr, pattern(size, 1000), epoch.Add(size*time.Second))
	for i := range int64(250_000) {
		mustAppend(t, w, banger.StreamStdout, pattern(i*8, 8), epoch.Add(time.Duration(size+i)*time.Second))
	}
	chunks := readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamBoth, banger.LogCursor{}, 10_000)
	if n := checkCovers(t, chunks, banger.StreamStderr, 0, size+1000, banger.GapDiskFull); n == 0 || n >= size-1000 {
		t.Errorf("%d bytes of stderr are missing", n)
	}
	checkCovers(t, chunks, banger.StreamStdout, 0, 250_000*8, allReasons...)
}

// A disk that is full now and then does not make the journal long.
func TestWriter_ShortensTheJournalThoughOutputIsLostAgainAndAgain(t *testing.T) {
	dir := mountTmpfs(t, "8M")
	w, err := sessiondir.OpenWriter(dir, true, 64<<10)
	must(t, err)
	defer w.Close()
	at := int64(0)
	write := func() error {
		_, err := w.Append(banger.StreamStdout, pattern(at, 8), epoch.Add(time.Duration(at)*time.Second))
		at += 8
		return err
	}
	losses := 0
	for range 60 {
		for range 1000 { // pieces with a time of their own
			must(t, write())
		}
		free := fillDisk(t, dir)
		for range 1000 { // more than the last block of the log has room for
			if write() != nil {
				losses++
			}
		}
		free()
	}
	if losses < 1000 {
		t.Fatalf("only %d pieces were lost", losses)
	}
	if n := onDisk(t, filepath.Join(dir, sessiondir.JournalName)); n > 256<<10 {
		t.Errorf("the journal takes %d bytes of the disk", n)
	}
	checkCovers(t, readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamStdout, banger.LogCursor{}, 10_000), banger.StreamStdout, 0, at, allReasons...)
}
