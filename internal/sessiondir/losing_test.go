//go:build !unit

package sessiondir_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// TestJournal_TellsLossesAsDocumented compares a journal with the package comment.
func TestJournal_TellsLossesAsDocumented(t *testing.T) {
	dir := mountTmpfs(t, "64k")
	w, err := sessiondir.OpenWriter(dir, false, 0)
	must(t, err)
	defer w.Close()
	at := func(d time.Duration) time.Time { return time.UnixMicro(1 << 50).Add(d) }
	mustAppend(t, w, banger.StreamStdout, pattern(0, 4096), at(0))
	fillDisk(t, dir)
	for i := range 3 {
		if n, err := w.Append(banger.StreamStdout, pattern(4096, 100), at(time.Duration(100+i)*time.Second)); n != 0 || err == nil {
			t.Fatalf("a full disk took %d bytes: %v", n, err)
		}
	}
	want := journalOf("01 00 80a000", "07 80c2d72f 0b 00 04 ac8280808080808000")
	if got, err := os.ReadFile(filepath.Join(dir, sessiondir.JournalName)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("journal is\n%x\nwant\n%x\n%v", got, want, err)
	}
}

// While somebody else takes and frees the last of the disk at random, each byte that was
// produced is delivered or declared missing: to a follower, to a reader meanwhile, and
// to one that comes afterwards.
func TestWriter_DeliveredAndGapsAreWhatWasProduced(t *testing.T) {
	for seed := range uint64(6) {
		for name, mount := range smallDisks {
			random := rand.New(rand.NewPCG(seed, 7))
			disk := mount(t)
			dir := filepath.Join(disk, "session")
			must(t, os.Mkdir(dir, 0o700))
			limit := []int64{0, 64 << 10, 300 << 10}[random.IntN(3)]
			w, err := sessiondir.OpenWriter(dir, false, limit)
			must(t, err)
			follower, err := w.Follow(banger.LogCursor{})
			must(t, err)
			var seen []banger.LogChunk
			produced := map[banger.Stream]int64{}
			free := func() {}
			now, lost := epoch, 0
			for range 60 {
				switch random.IntN(8) {
				case 0:
					free()
					free = fillDisk(t, disk)
				case 1:
					free()
					free = func() {}
				case 2:
					_ = w.Sync(now)
				case 3:
					followed(t, follower, &seen)
				case 4:
					_ = w.AcceptStdin(int64(random.IntN(100)), now)
				}
				for range random.IntN(30) {
					now = now.Add(time.Duration(random.IntN(90)) * time.Millisecond)
					stream := []banger.Stream{banger.StreamStdout, banger.StreamStderr}[random.IntN(5)/4]
					p := pattern(produced[stream], 1+random.IntN(20_000))
					n, _ := w.Append(stream, p, now)
					produced[stream] += int64(len(p))
					lost += len(p) - n
					if w.Size(stream) != produced[stream] {
						t.Fatalf("%s has %d bytes of %d", stream, w.Size(stream), produced[stream])
					}
				}
			}
			free()
			must(t, w.Sync(now)) // there is room now, so everything can be told
			followed(t, follower, &seen)
			for stream, n := range produced {
				checkCovers(t, seen, stream, 0, n, allReasons...)
			}
			missing := checkAll(t, dir, produced, sessiondir.NewLiveReader(os.DirFS(dir)), sessiondir.NewReader(os.DirFS(dir)))
			t.Logf("%s, seed %d, limit %d: of %d bytes %d were lost, %d are missing", name, seed, limit, produced[banger.StreamStdout]+produced[banger.StreamStderr], lost, missing)
			must(t, w.Close())
		}
	}
}

// What a full disk takes is one record, and no reader goes through its hole.
func TestReader_TailPassesOverAHugeLoss(t *testing.T) {
	dir := mountTmpfs(t, "400k")
	w, err := sessiondir.OpenWriter(dir, true, 0)
	must(t, err)
	defer w.Close()
	mustAppend(t, w, banger.StreamStdout, []byte("first\nsecond begins"), epoch)
	free := fillDisk(t, dir)
	const huge = 20_000
	for i := range huge {
		_, _ = w.Append(banger.StreamStdout, make([]byte, 64<<10), epoch.Add(time.Duration(i)*time.Second))
	}
	begin := w.Size(banger.StreamStdout) - huge*64<<10
	end := w.Size(banger.StreamStdout)
	free()
	mustAppend(t, w, banger.StreamStdout, []byte("third ends\nlast"), epoch.Add(huge*time.Second))
	fsys := countingFS{os.DirFS(dir), map[string]int64{}}
	r := sessiondir.NewReader(fsys)
	for lines, want := range map[int]int64{0: end + 15, 1: end + 11, 2: 6, 3: 0} {
		start, err := r.Tail(t.Context(), banger.StreamStdout, lines)
		if err != nil || start.Stdout != want {
			t.Errorf("the last %d lines begin at %d, %v; want %d", lines, start.Stdout, err, want)
		}
	}
	chunks := readAll(t, r, banger.StreamStdout, banger.LogCursor{}, 1000)
	if len(chunks) < 3 || gapOf(chunks, banger.StreamStdout) < huge*63<<10 || begin > 1<<20 {
		t.Errorf("%d pieces with a gap of %d", len(chunks), gapOf(chunks, banger.StreamStdout))
	}
	if n := fsys.read[sessiondir.StdoutName]; n > 2<<20 {
		t.Errorf("read %d bytes of a log that has hardly any", n)
	}
	if info, err := os.Stat(filepath.Join(dir, sessiondir.JournalName)); err != nil || info.Size() > 4096 {
		t.Errorf("the journal: %v, %v", info, err)
	}
}

// When the journal, too, has come to the end of its place, a loss is kept in mind and
// told at the first chance; and of one that never could be told the exit knows.
func TestWriter_LossThatTheJournalCannotTakeIsNotForgotten(t *testing.T) {
	dir := mountTmpfs(t, "400k")
	w, err := sessiondir.OpenWriter(dir, true, 0)
	must(t, err)
	defer w.Close()
	mustAppend(t, w, banger.StreamStdout, pattern(0, 4096), epoch)
	free := fillDisk(t, dir)
	for i := range 4000 { // an hour's worth of stdin
		_ = w.AcceptStdin(1, epoch.Add(time.Duration(i)*time.Second))
	}
	if n, err := w.Append(banger.StreamStdout, pattern(4096, 1000), epoch.Add(time.Hour)); n != 0 || err == nil {
		t.Fatalf("a full disk took %d bytes: %v", n, err)
	}
	f, err := w.Follow(banger.LogCursor{Stdout: 4096})
	must(t, err)
	var seen []banger.LogChunk
	followed(t, f, &seen)
	if checkCovers(t, seen, banger.StreamStdout, 4096, 5096, banger.GapDiskFull) != 1000 || w.Size(banger.StreamStdout) != 5096 {
		t.Errorf("a follower sees %+v of %d bytes", seen, w.Size(banger.StreamStdout))
	}
	r := sessiondir.NewReader(os.DirFS(dir))
	if chunks := readAll(t, r, banger.StreamStdout, banger.LogCursor{}, 10_000); gapOf(chunks, banger.StreamStdout) != 0 {
		t.Fatalf("the journal had room after all: %+v", chunks) // then this tests nothing
	}
	told := copyOf(t, dir)
	state := sessiondir.State{ID: banger.NewSessionID()}
	state.Status, state.StdoutBytes = banger.StatusExited, w.Size(banger.StreamStdout)
	must(t, sessiondir.WriteState(told, state))
	chunks := readAll(t, sessiondir.NewReader(os.DirFS(told)), banger.StreamStdout, banger.LogCursor{}, 10_000)
	if checkCovers(t, chunks, banger.StreamStdout, 0, 5096, banger.GapUnknown) != 1000 {
		t.Errorf("the exit tells %+v", chunks)
	}
	free()
	must(t, w.Sync(epoch.Add(time.Hour)))
	mustAppend(t, w, banger.StreamStdout, pattern(5096, 1000), epoch.Add(time.Hour))
	followed(t, f, &seen)
	checkCovers(t, seen, banger.StreamStdout, 4096, 6096, banger.GapDiskFull)
	chunks = readAll(t, r, banger.StreamStdout, banger.LogCursor{}, 10_000)
	if checkCovers(t, chunks, banger.StreamStdout, 0, 6096, banger.GapDiskFull) != 1000 {
		t.Errorf("the journal tells %+v", chunks)
	}
	if totals, err := r.Totals(); err != nil || totals.Stdin != 4000 {
		t.Errorf("totals are %+v, %v", totals, err)
	}
}

func TestWriter_NeedsRoomToBegin(t *testing.T) {
	dir := mountTmpfs(t, "64k")
	fillDisk(t, dir)
	if w, err := sessiondir.OpenWriter(dir, true, 0); err == nil {
		w.Close()
		t.Error("a session begins on a full disk")
	}
}

// The journal continues where the log cannot, into blocks that it has reserved; and each
// block by itself records a loss that nothing has followed.
func TestWriter_JournalGoesOnWhenTheDiskIsFull(t *testing.T) {
	for name, mount := range smallDisks {
		disk := mount(t)
		dir := filepath.Join(disk, "session")
		must(t, os.Mkdir(dir, 0o700))
		w, err := sessiondir.OpenWriter(dir, true, 0)
		must(t, err)
		fillDisk(t, disk)
		if n, err := w.Append(banger.StreamStdout, pattern(0, 5000), epoch); n != 0 || err == nil {
			t.Fatalf("%s: a full disk took %d bytes: %v", name, n, err)
		}
		for i := range 1500 {
			must(t, w.AcceptStdin(1, epoch.Add(time.Duration(i)*time.Second)))
		}
		for _, want := range []int64{5000, 10_000} {
			chunks := readAll(t, sessiondir.NewLiveReader(os.DirFS(dir)), banger.StreamStdout, banger.LogCursor{}, 10_000)
			if n := checkCovers(t, chunks, banger.StreamStdout, 0, want, banger.GapDiskFull); n != want {
				t.Errorf("%s: %d bytes are missing, of %d", name, n, want)
			}
			_, _ = w.Append(banger.StreamStdout, pattern(want, 5000), epoch.Add(time.Hour))
		}
		if info, err := os.Stat(filepath.Join(dir, sessiondir.JournalName)); err != nil || info.Size() < 2*4096 {
			t.Errorf("%s: the journal has one block: %v", name, err)
		}
		must(t, w.Close())
	}
}
