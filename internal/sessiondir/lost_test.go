package sessiondir_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// journalOf makes a journal of one block out of its records.
func journalOf(records ...string) []byte {
	b := make([]byte, 48)
	copy(b, "bngj\x01")
	binary.BigEndian.PutUint64(b[8:], 1<<50)
	h := fnv.New32a()
	h.Write(b[:40])
	binary.BigEndian.PutUint32(b[40:], h.Sum32())
	for _, r := range records {
		raw, err := hex.DecodeString(strings.ReplaceAll(r, " ", ""))
		if err != nil {
			panic(err)
		}
		b = append(b, raw...)
	}
	return b
}

// lossyJournals are some that tell of losses, the last of impossible ones.
func lossyJournals() [][]byte {
	return [][]byte{
		journalOf("01 00 e48000", "07 00 0b 00 04 8a8080808080808000", "01 05 8a8000"),
		journalOf("01 00 e48000", "07 00 0b 01 08 ffffffffffffffff3f", "02 05 8a8000", "07 00 0b 00 04 818080808080808000"),
		journalOf("05 00 04 00 03 8a00", "07 00 0b 00 04 8a8080808080808000", "08 00 01 00", "06 00 12 818080808080808000 818080808080808000"),
		journalOf("07 00 0b 00 04 ffffffffffffffff7f", "07 00 0b 07 04 818080808080808000", "08 00 08 ffffffffffffff7f", "07 00 02 00 04"),
	}
}

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

func TestReader_TellsLossesThatTheJournalHas(t *testing.T) {
	const o = banger.StreamStdout
	log := pattern(0, 120)
	clear(log[100:110])
	for name, c := range map[string]struct {
		journal []byte
		log     []byte
		want    []banger.LogChunk // without times and data
	}{
		"in the middle": {lossyJournals()[0], log, []banger.LogChunk{
			{Stream: o, Data: log[:100]}, {Stream: o, Offset: 100, Gap: 10, Reason: banger.GapDiskFull}, {Stream: o, Offset: 110, Data: log[110:]}}},
		"at the end": {lossyJournals()[0], log[:100], []banger.LogChunk{
			{Stream: o, Data: log[:100]}, {Stream: o, Offset: 100, Gap: 10, Reason: banger.GapDiskFull}}},
		"behind what a crash took": {lossyJournals()[0], log[:60], []banger.LogChunk{
			{Stream: o, Data: log[:60]}, {Stream: o, Offset: 60, Gap: 40, Reason: banger.GapUnknown}, {Stream: o, Offset: 100, Gap: 10, Reason: banger.GapDiskFull}}},
		"of several reasons": {journalOf("01 00 e48000", "07 00 0b 00 0c 8a8080808080808000", "07 00 0b 00 04 858080808080808000"), log[:100], []banger.LogChunk{
			{Stream: o, Data: log[:100]}, {Stream: o, Offset: 100, Gap: 10, Reason: "disk full, write error"}, {Stream: o, Offset: 110, Gap: 5, Reason: banger.GapDiskFull}}},
		"where a block begins": {journalOf("01 00 e48000", "07 00 0b 00 04 808080808080808000"), log[:70], []banger.LogChunk{
			{Stream: o, Data: log[:70]}, {Stream: o, Offset: 70, Gap: 30, Reason: banger.GapUnknown}}},
	} {
		fsys := fstest.MapFS{sessiondir.StdoutName: {Data: c.log}, sessiondir.JournalName: {Data: c.journal}}
		for _, r := range []*sessiondir.Reader{sessiondir.NewReader(fsys), sessiondir.NewLiveReader(fsys)} {
			chunks := readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 1000)
			if !slices.EqualFunc(chunks, c.want, func(a, b banger.LogChunk) bool {
				return a.Stream == b.Stream && a.Offset == b.Offset && a.Gap == b.Gap && a.Reason == b.Reason && bytes.Equal(a.Data, b.Data)
			}) {
				t.Errorf("%s: %+v", name, chunks)
			}
		}
	}
}

func TestReader_SizesNobodyCanMeanHarmNothing(t *testing.T) {
	for i, journal := range lossyJournals() {
		fsys := fstest.MapFS{sessiondir.StdoutName: {Data: pattern(0, 120)}, sessiondir.StderrName: {Data: pattern(0, 50)}, sessiondir.JournalName: {Data: journal}}
		r := sessiondir.NewReader(fsys)
		readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 7)
		for _, lines := range []int{0, 1, 2, 100} {
			start, err := r.Tail(t.Context(), banger.StreamBoth, lines)
			must(t, err)
			readAll(t, r, banger.StreamBoth, start, 7)
		}
		if totals, err := r.Totals(); err != nil || totals.Stdout < 120 || totals.Stderr < 50 {
			t.Errorf("journal %d: totals are %+v, %v", i, totals, err)
		}
	}
}

// allReasons are those that output can be missing for here.
var allReasons = []string{
	banger.GapDiskReserve, banger.GapDiskFull, "disk reserve, disk full", "log limit, disk reserve", "log limit, disk full", "log limit, disk reserve, disk full",
}

// check checks what all readers say of a session of which out and errs were produced.
func checkAll(t *testing.T, dir string, produced map[banger.Stream]int64, readers ...*sessiondir.Reader) (missing int64) {
	t.Helper()
	for _, r := range readers {
		chunks := readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 50_000)
		missing = 0
		for stream, n := range produced {
			missing += checkCovers(t, chunks, stream, 0, n, allReasons...)
			checkCovers(t, readAll(t, r, stream, banger.LogCursor{Stdout: n / 2, Stderr: n / 2}, 3000), stream, n/2, n, allReasons...)
		}
		for _, lines := range []int{0, 1, 7, 500} {
			start, err := r.Tail(t.Context(), banger.StreamBoth, lines)
			must(t, err)
			tail := readAll(t, r, banger.StreamBoth, start, 50_000)
			checkCovers(t, tail, banger.StreamStdout, start.Stdout, produced[banger.StreamStdout], allReasons...)
			checkCovers(t, tail, banger.StreamStderr, start.Stderr, produced[banger.StreamStderr], allReasons...)
		}
		totals, err := r.Totals()
		if err != nil || totals.Stdout != produced[banger.StreamStdout] || totals.Stderr != produced[banger.StreamStderr] {
			t.Fatalf("totals are %+v of %v, %v", totals, produced, err)
		}
	}
	return missing
}

// followed takes what a follower has, until it has nothing.
func followed(t *testing.T, f *sessiondir.Follower, chunks *[]banger.LogChunk) {
	t.Helper()
	for f.Pending() {
		at := f.At()
		if gap, ok := f.Gap(); ok {
			*chunks = append(*chunks, gap)
			continue
		}
		stream, n := f.Run()
		if n == 0 {
			t.Fatalf("something is pending at %+v, and there is nothing", at)
		}
		c := banger.LogChunk{Stream: stream, Offset: at.Stdout, Data: make([]byte, n)}
		if stream == banger.StreamStderr {
			c.Offset = at.Stderr
		}
		must(t, f.Read(c.Data))
		*chunks = append(*chunks, c)
	}
}

// While somebody else takes and frees the last of the disk at random, each byte that was
// produced is delivered or declared missing: to who follows, to who reads meanwhile, and
// to who comes afterwards.
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

// copyOf copies a session to where there is room.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{sessiondir.StdoutName, sessiondir.JournalName} {
		data, err := fs.ReadFile(os.DirFS(dir), name)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, name), data, 0o600))
	}
	return to
}

// A crash leaves zeros of what was not on the disk; those before a loss are no output
// either, and the hole of a loss is none of them.
func TestReader_CrashAfterALossTakesNoZerosForOutput(t *testing.T) {
	state := []byte(`{"id":"` + string(banger.NewSessionID()) + `","status":"running"}`)
	log := pattern(0, 100)
	clear(log[80:])
	for name, c := range map[string]struct {
		log  []byte
		size int64
	}{
		"the log ends in zeros where the loss begins": {log, 110},
		"and goes on behind it":                       {append(log, make([]byte, 20)...), 110},
	} {
		fsys := fstest.MapFS{sessiondir.StateName: {Data: state}, sessiondir.StdoutName: {Data: c.log}, sessiondir.JournalName: {Data: lossyJournals()[0]}}
		chunks := readAll(t, sessiondir.NewReader(fsys), banger.StreamStdout, banger.LogCursor{}, 1000)
		last := chunks[len(chunks)-1]
		if last.Offset+last.Gap+int64(len(last.Data)) != c.size || last.Reason != banger.GapDiskFull {
			t.Errorf("%s: it ends with %+v", name, last)
		}
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

// The journal goes on where the log cannot, into blocks that it has reserved; and each
// block by itself tells of a loss that nothing has followed.
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
