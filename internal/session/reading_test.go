//go:build !unit

package session_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
)

// chunksOf reads a session's output as a request says, and where that ended.
func chunksOf(t *testing.T, h *hosttest.Host, r banger.LogRequest) ([]banger.LogChunk, banger.LogEnd) {
	t.Helper()
	if r.Stream == "" {
		r.Stream = banger.StreamBoth
	}
	var chunks []banger.LogChunk
	end, err := h.Streams.ReadLogs(t.Context(), vmName, "s", r, func(c banger.LogChunk) error {
		chunks = append(chunks, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return chunks, end
}

// say has the session of echoing do one step, and waits until that is in its logs.
func say(t *testing.T, h *hosttest.Host, line string) {
	t.Helper()
	send(t, h, "s", line+"\n", false)
	for _, pattern := range []string{"^" + line + "$", "^err " + line + "$"} {
		if _, err := match(t, banger.MatchRequest{Pattern: pattern}, h.Streams); err != nil {
			t.Fatal(err)
		}
	}
}

// echoing is a session that repeats each line on both streams.
func echoing() banger.SessionRequest {
	return shell("s", `while read line; do echo "$line"; echo "err $line" >&2; done`)
}

func texts(chunks []banger.LogChunk) string {
	var b strings.Builder
	for _, c := range chunks {
		b.Write(c.Data)
	}
	return b.String()
}

func TestLogs_BetweenTimesAreWhatWasWrittenThen(t *testing.T) {
	h := newHost(t)
	start(t, h, echoing())
	var times []time.Time // of each line
	for n := range 5 {
		say(t, h, fmt.Sprint("line ", n))
		found, _ := chunksOf(t, h, banger.LogRequest{Lines: -1, Stream: banger.StreamStdout, Grep: fmt.Sprint("^line ", n, "$")})
		if len(found) != 1 || found[0].Time.IsZero() {
			t.Fatalf("line %d is %v", n, found)
		}
		times = append(times, found[0].Time)
	}
	for name, c := range map[string]struct {
		since, until time.Time
		want         string
	}{
		"all":                 {times[0].Add(-time.Hour), times[4].Add(time.Hour), "line 0\nline 1\nline 2\nline 3\nline 4\n"},
		"since one":           {times[3], time.Time{}, "line 3\nline 4\n"},
		"since behind one":    {times[3].Add(time.Microsecond), time.Time{}, "line 4\n"},
		"until one":           {time.Time{}, times[1], "line 0\nline 1\n"},
		"between":             {times[1], times[3].Add(-time.Microsecond), "line 1\nline 2\n"},
		"since later":         {time.Now().Add(time.Hour), time.Time{}, ""},
		"an interval of none": {times[3], times[2], ""},
	} {
		got, end := chunksOf(t, h, banger.LogRequest{Lines: -1, Since: c.since, Until: c.until, Stream: banger.StreamStdout})
		if texts(got) != c.want {
			t.Errorf("%s: got %q, want %q", name, texts(got), c.want)
		}
		if !strings.HasSuffix(c.want, "line 4\n") && !c.until.IsZero() && (end.AtEnd || end.Next.Stdout >= 35) {
			t.Errorf("%s: ends at %+v", name, end)
		}
	}
	// The streams are where they were at that time.
	begin := banger.LogCursor{}
	_, end := chunksOf(t, h, banger.LogRequest{Since: times[2].Add(time.Microsecond), Begin: func(c banger.LogCursor) error { begin = c; return nil }})
	if n := begin.Stderr / int64(len("err line 0\n")); begin.Stdout != 3*int64(len("line 0\n")) || n != 2 && n != 3 || !end.AtEnd {
		t.Errorf("both since behind the third: from %+v to %+v", begin, end)
	}
}

func TestLogs_FollowEndsWhenTheTimeIsPast(t *testing.T) {
	h := newHost(t)
	start(t, h, echoing())
	say(t, h, "before")
	until := time.Now().Add(300 * time.Millisecond)
	got, end := chunksOf(t, h, banger.LogRequest{Lines: -1, Stream: banger.StreamStdout, Follow: true, Until: until})
	if texts(got) != "before\n" || time.Now().Before(until) || end.Ended || !end.AtEnd {
		t.Errorf("%q, %+v", texts(got), end)
	}
	// One that is past already ends it at once, with what was written until then.
	say(t, h, "after")
	if got, _ := chunksOf(t, h, banger.LogRequest{Lines: -1, Stream: banger.StreamStdout, Follow: true, Until: until}); texts(got) != "before\n" {
		t.Errorf("got %q", texts(got))
	}
}

// Who continues after an error must know that there is more.
func TestLogs_FollowThatIsBrokenOffIsNotAtTheEnd(t *testing.T) {
	h := newHost(t)
	start(t, h, echoing())
	say(t, h, "one")
	enough := errors.New("enough")
	end, err := h.Streams.ReadLogs(t.Context(), vmName, "s", banger.LogRequest{Stream: banger.StreamStdout, Lines: -1, Follow: true}, func(c banger.LogChunk) error {
		if string(c.Data) != "one\n" {
			return enough
		}
		send(t, h, "s", "two\n", false)
		return nil
	})
	if !errors.Is(err, enough) || end.Next.Stdout != int64(len("one\n")) || end.AtEnd {
		t.Errorf("%+v, %v", end, err)
	}
}

func TestLogs_GrepPicksTheLinesOfEachStream(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", `printf 'half '; printf 'two halves\n' >&2; printf 'and half\n'; seq 2000; printf 'last half'`))
	wait(t, h, "s")
	got, end := chunksOf(t, h, banger.LogRequest{Lines: -1, Grep: "half|halves|^1..7$"})
	whole, _ := chunksOf(t, h, banger.LogRequest{Lines: -1, Stream: banger.StreamStdout})
	out := texts(whole)
	var lines []string
	for _, c := range got {
		lines = append(lines, string(c.Data))
		if c.Stream == banger.StreamStdout && !strings.HasPrefix(out[c.Offset:], string(c.Data)) || c.Time.IsZero() {
			t.Errorf("%q is not at offset %d at %v", c.Data, c.Offset, c.Time)
		}
	}
	if len(got) != 103 || lines[len(lines)-1] != "last half" || !end.Ended || end.Next.Stdout != int64(len(out)) {
		t.Errorf("%q, %+v", lines, end)
	}
	if !strings.Contains(texts(got), "half and half\n") || !strings.Contains(texts(got), "two halves\n") {
		t.Errorf("the streams are mixed: %q", lines[:2])
	}
}

func TestLogs_GrepWithALimitGoesOnWithoutLossOrRepeat(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "seq 3000; seq 3000 >&2"))
	wait(t, h, "s")
	lines := map[string]int{}
	for next := (banger.LogCursor{}); ; {
		got, end := chunksOf(t, h, banger.LogRequest{Cursor: &next, Grep: "7$", Limit: 50})
		for _, c := range got {
			lines[string(c.Stream)+string(c.Data)]++
		}
		if n := len(texts(got)); n > 55 || n < 50 && !end.AtEnd {
			t.Fatalf("a reading has %d bytes: %+v", n, end)
		}
		if next = end.Next; end.Ended {
			break
		}
	}
	for line, n := range lines {
		if n != 1 {
			t.Errorf("%q was read %d times", line, n)
		}
	}
	if len(lines) != 600 {
		t.Errorf("%d lines were read", len(lines))
	}
}

func TestLogs_GrepFollowsAndTellsGaps(t *testing.T) {
	h := newHost(t)
	r := shell("s", `yes 0123456789abcde | head -c 300000; while read line; do echo "$line"; echo "err $line" >&2; done`)
	r.LogLimit = banger.MinLogLimit
	start(t, h, r)
	say(t, h, "needle 1")
	got := make(chan banger.LogChunk, 100)
	done := make(chan error, 1)
	go func() {
		_, err := h.Streams.ReadLogs(t.Context(), vmName, "s", banger.LogRequest{Stream: banger.StreamStdout, Cursor: &banger.LogCursor{}, Follow: true, Grep: "needle"},
			func(c banger.LogChunk) error { got <- c; return nil })
		done <- err
	}()
	if c := <-got; c.Gap == 0 || c.Offset != 0 {
		t.Errorf("first comes %+v", c)
	}
	for _, line := range []string{"needle 1\n", "needle 2\n"} {
		c := <-got
		if string(c.Data) != line {
			t.Errorf("got %q, want %q", c.Data, line)
		}
		send(t, h, "s", "hay\nneedle 2\n", line != "needle 1\n")
	}
	if c := <-got; string(c.Data) != "needle 2\n" {
		t.Errorf("got %q", c.Data)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLogs_TimesAndPatternsThatCannotBeAreRefused(t *testing.T) {
	h := newHost(t)
	start(t, h, echoing())
	from := int64(0)
	for name, r := range map[string]banger.LogRequest{
		"no pattern":          {Grep: "("},
		"since and from":      {Since: time.Now(), From: &from, Stream: banger.StreamStdout},
		"since and cursor":    {Since: time.Now(), Cursor: &banger.LogCursor{}},
		"before all clocks":   {Since: time.Unix(-1, 0)},
		"after all calendars": {Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := h.Streams.ReadLogs(t.Context(), vmName, "s", r, func(banger.LogChunk) error { return errors.New("it was read") })
		if banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLogs_OfAStoppedVMAreFoundByTimeAndPattern(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "seq 100; sleep 0.2; seq 101 200"))
	wait(t, h, "s")
	second, _ := chunksOf(t, h, banger.LogRequest{Lines: -1, Grep: "^101$"})
	live, _ := chunksOf(t, h, banger.LogRequest{Since: second[0].Time, Grep: "0$"})
	vm, err := h.VMs.GetVM(t.Context(), vmName)
	if err != nil {
		t.Fatal(err)
	}
	h.PowerOff(vm.ID)
	stopped, _ := chunksOf(t, h, banger.LogRequest{Since: second[0].Time, Grep: "0$"})
	if texts(stopped) != "110\n120\n130\n140\n150\n160\n170\n180\n190\n200\n" || texts(live) != texts(stopped) {
		t.Errorf("%q, and when it ran %q", texts(stopped), texts(live))
	}
}
