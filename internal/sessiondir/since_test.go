package sessiondir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/sessiondir"
)

// sinceStreams are what Since can be asked about.
var sinceStreams = []banger.Stream{banger.StreamStdout, banger.StreamStderr, banger.StreamBoth}

func mustSince(t interface{ Fatal(...any) }, r *sessiondir.Reader, stream banger.Stream, at time.Time) banger.LogCursor {
	start, err := r.Since(stream, at)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// around returns the last time before a position and the first one from there on,
// each zero if there is none, by going through all of it.
func around(chunks []banger.LogChunk, start banger.LogCursor) (before, after time.Time) {
	for _, c := range chunks {
		at := start.Stdout
		if c.Stream == banger.StreamStderr {
			at = start.Stderr
		}
		switch {
		case c.Time.IsZero():
		case c.Offset < at:
			before = c.Time
		case after.IsZero():
			after = c.Time
		}
	}
	return before, after
}

func TestSince_IsWhereALookAtEverythingFindsIt(t *testing.T) {
	dir, _, _ := spread(t)
	r := sessiondir.NewReader(os.DirFS(dir))
	for _, stream := range sinceStreams {
		all := readAll(t, r, stream, banger.LogCursor{}, 1<<20)
		for _, at := range []time.Duration{-time.Hour, 0, 1, time.Microsecond, 999 * time.Millisecond, time.Second, 17*time.Second + 1, 2000 * time.Second, 3999 * time.Second, 4000 * time.Second} {
			start := mustSince(t, r, stream, epoch.Add(at))
			before, after := around(all, start)
			if !before.IsZero() && !before.Before(epoch.Add(at)) || !after.IsZero() && after.Before(epoch.Add(at)) {
				t.Errorf("%s since %v: begins at %+v, behind %v and before %v", stream, at, start, before, after)
			}
		}
	}
	if start := mustSince(t, r, banger.StreamBoth, epoch.Add(-time.Hour)); start != (banger.LogCursor{}) {
		t.Errorf("since before it all: %+v", start)
	}
	end := mustSince(t, r, banger.StreamBoth, epoch.Add(time.Hour*2))
	if chunks, _, atEnd, err := r.Page(banger.StreamBoth, end, 100); len(chunks) > 0 || !atEnd || err != nil {
		t.Errorf("since after it all: %v %v %v", chunks, atEnd, err)
	}
}

// TestSince_OfOutputWithoutATimeLeavesOutOnlyWhatIsOlder has output in the log that
// the journal does not record: at the end, and before a block that records it again.
func TestSince_OfOutputWithoutATimeLeavesOutOnlyWhatIsOlder(t *testing.T) {
	dir := session(t, write{banger.StreamStdout, "a\n", 0}, write{banger.StreamStdout, "b\n", time.Hour})
	journal, err := os.ReadFile(filepath.Join(dir, sessiondir.JournalName))
	must(t, err)
	fsys := fstest.MapFS{
		sessiondir.StdoutName:  {Data: []byte("a\nb\nunknown\n")},
		sessiondir.JournalName: {Data: journal},
	}
	r := sessiondir.NewReader(fsys)
	for at, want := range map[time.Duration]int64{0: 0, time.Minute: 2, 2 * time.Hour: 4} {
		if start := mustSince(t, r, banger.StreamStdout, epoch.Add(at)); start.Stdout != want {
			t.Errorf("since %v: %+v, want %d", at, start, want)
		}
	}
	if start := mustSince(t, sessiondir.NewLiveReader(fsys), banger.StreamStdout, epoch.Add(2*time.Hour)); start.Stdout != 4 {
		t.Errorf("of a live session: %+v", start)
	}
	delete(fsys, sessiondir.JournalName)
	if start := mustSince(t, r, banger.StreamStdout, epoch.Add(2*time.Hour)); start.Stdout != 0 {
		t.Errorf("without a journal: %+v", start)
	}
}

func TestSince_BeginsWithTheFirstOfWhatCameAtOneTime(t *testing.T) {
	writes := []write{{banger.StreamStdout, "before\n", -time.Hour}}
	for i := range 4000 { // some blocks of the journal
		writes = append(writes, write{sinceStreams[i%2], "x\n", 0})
	}
	start := mustSince(t, sessiondir.NewReader(os.DirFS(session(t, writes...))), banger.StreamBoth, epoch)
	if start != (banger.LogCursor{Stdout: 7}) {
		t.Errorf("found %+v", start)
	}
}

func TestSince_OfWhatIsGivenUpTellsTheGap(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, false, 64<<10)
	must(t, err)
	defer w.Close()
	for i := range 4000 {
		mustAppend(t, w, banger.StreamStdout, fmt.Appendf(nil, "%099d\n", i), epoch.Add(time.Duration(i)*time.Second))
	}
	page, err := sessiondir.NewReader(os.DirFS(dir)).GuestPage(t.Context(), guestapi.GuestLogRead{
		Stream: banger.StreamStdout, Since: new(epoch.Add(1000 * time.Second)), MaxBytes: 1000,
	})
	// The journal may tell no more what of the gap came since then.
	if err != nil || page.Begin.Stdout > 100_000 || page.Chunks[0].Gap == 0 || page.Chunks[0].Offset != page.Begin.Stdout {
		t.Errorf("begins at %+v with a gap of %d, %v", page.Begin, page.Chunks[0].Gap, err)
	}
}
