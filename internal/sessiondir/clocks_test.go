//go:build !unit

package sessiondir_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"banger"
	"banger/internal/sessiondir"
)

// TestSince_ModelOfClocksThatGoUpAndBack compares it with a look at everything.
func TestSince_ModelOfClocksThatGoUpAndBack(t *testing.T) {
	const tolerance = time.Second // within it, times that go back are not told
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "since-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w, err := sessiondir.OpenWriter(dir, false, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		setBack := rapid.Bool().Draw(t, "clock is set back")
		now, last := epoch, epoch
		for range rapid.IntRange(0, 40).Draw(t, "bursts") {
			if step := rapid.IntRange(-100, 400).Draw(t, "seconds"); setBack || step > 0 {
				now = now.Add(time.Duration(step) * time.Second)
			}
			for range rapid.IntRange(1, 200).Draw(t, "writes") {
				stream := sinceStreams[rapid.IntRange(0, 1).Draw(t, "stream")]
				if _, err := w.Append(stream, []byte("x"), now); err != nil {
					t.Fatal(err)
				}
				now = now.Add(60 * time.Millisecond)
			}
			last = now
		}
		r := sessiondir.NewReader(os.DirFS(dir))
		span := max(int(last.Sub(epoch).Seconds()), 0) + 10
		at := epoch.Add(time.Duration(rapid.IntRange(-10, span).Draw(t, "at")) * time.Second)
		stream := banger.StreamBoth
		if !setBack { // else the streams do not pass the time at the same place
			stream = rapid.SampledFrom(sinceStreams).Draw(t, "of")
		}
		start := mustSince(t, r, stream, at)
		var all []banger.LogChunk
		for next, atEnd := (banger.LogCursor{}), false; !atEnd; {
			var page []banger.LogChunk
			if page, next, atEnd, err = r.Page(stream, next, 1<<20); err != nil {
				t.Fatal(err)
			}
			all = append(all, page...)
		}
		before, after := around(all, start)
		if !before.IsZero() && !before.Before(at.Add(tolerance)) || !after.IsZero() && after.Before(at) {
			t.Fatalf("since %v: begins at %+v, behind %v and before %v", at, start, before, after)
		}
		i := slices.IndexFunc(all, func(c banger.LogChunk) bool { return !c.Time.Before(at) })
		if first := (i >= 0 && !setBack); first && !after.Equal(all[i].Time) {
			t.Fatalf("since %v: begins at %v, and the first is %v", at, after, all[i].Time)
		}
	})
}
