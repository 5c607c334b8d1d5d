package sessiondir_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

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

// lossyJournals are some that record losses, the last of impossible ones.
func lossyJournals() [][]byte {
	return [][]byte{
		journalOf("01 00 e48000", "07 00 0b 00 04 8a8080808080808000", "01 05 8a8000"),
		journalOf("01 00 e48000", "07 00 0b 01 08 ffffffffffffffff3f", "02 05 8a8000", "07 00 0b 00 04 818080808080808000"),
		journalOf("05 00 04 00 03 8a00", "07 00 0b 00 04 8a8080808080808000", "08 00 01 00", "06 00 12 818080808080808000 818080808080808000"),
		journalOf("07 00 0b 00 04 ffffffffffffffff7f", "07 00 0b 07 04 818080808080808000", "08 00 08 ffffffffffffff7f", "07 00 02 00 04"),
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
