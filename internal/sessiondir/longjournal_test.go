//go:build !unit

package sessiondir_test

import (
	"os"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// TestPage_FindsItsPlaceWithoutReadingTheJournal reads the end of a journal of
// some hundred blocks.
func TestPage_FindsItsPlaceWithoutReadingTheJournal(t *testing.T) {
	var writes []write
	for i := range 300_000 {
		stream := banger.StreamStdout
		if i%2 == 0 {
			stream = banger.StreamStderr
		}
		writes = append(writes, write{stream, "x\n", time.Duration(i) * time.Millisecond})
	}
	fsys := countingFS{os.DirFS(session(t, writes...)), map[string]int64{}}
	_, _, _, err := sessiondir.NewReader(fsys).Page(banger.StreamBoth, banger.LogCursor{Stdout: 299_000, Stderr: 299_000}, 1000)
	if got := fsys.read[sessiondir.JournalName]; err != nil || got > 24<<10 {
		t.Errorf("read %d bytes of the journal: %v", got, err)
	}
}

func TestSince_ReadsLittleOfTheJournalAndNothingOfTheLogs(t *testing.T) {
	var writes []write
	for i := range 300_000 {
		writes = append(writes, write{sinceStreams[i%2], "x\n", time.Duration(i) * time.Second})
	}
	fsys := countingFS{os.DirFS(session(t, writes...)), map[string]int64{}}
	start, err := sessiondir.NewReader(fsys).Since(banger.StreamBoth, epoch.Add(200_000*time.Second))
	if want := (banger.LogCursor{Stdout: 200_000, Stderr: 200_000}); start != want || err != nil {
		t.Errorf("found %+v, %v, want %+v", start, err, want)
	}
	if n := fsys.read[sessiondir.JournalName]; n > 20<<10 {
		t.Errorf("read %d bytes of the journal", n)
	}
	if n := fsys.read[sessiondir.StdoutName] + fsys.read[sessiondir.StderrName]; n > 0 {
		t.Errorf("read %d bytes of the logs", n)
	}
}
