//go:build !unit

package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"banger"
)

func match(t *testing.T, r banger.MatchRequest, h interface {
	MatchSession(context.Context, string, string, banger.MatchRequest) (banger.Match, error)
}) (banger.Match, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return h.MatchSession(ctx, vmName, "s", r)
}

func TestMatch_FindsWhatWasWrittenBeforeAndWhatComes(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", `seq 1000; echo ready >&2; printf 'name: '; read name; echo "hello $name"; read x`))
	for pattern, want := range map[string]string{
		"^7$":         "stdout 12 7",
		"99+":         "stdout 285 99",
		"r.a":         "stderr 0 rea",
		"name: ":      "stdout 3893 name: ", // a prompt, behind which no line ends
		`\bname`:      "stdout 3893 name",
		"(?i)NAME":    "stdout 3893 name",
		"^1000$|^5$":  "stdout 8 5",
		"[0-9]{4}":    "stdout 3888 1000",
		"e: |ready$x": "stdout 3896 e: ",
	} {
		got, err := match(t, banger.MatchRequest{Pattern: pattern}, h.Streams)
		if text := fmt.Sprintf("%s %d %s", got.Stream, got.Offset, got.Text); err != nil || text != want || got.End != got.Offset+int64(len(got.Text)) {
			t.Errorf("%q: %s, %v, want %s", pattern, text, err, want)
		}
	}
	// From behind one match the next is found, until there is none yet.
	next := banger.LogCursor{}
	for _, want := range []string{"6", "7", "16", "17", "26"} {
		got, err := match(t, banger.MatchRequest{Pattern: "[0-9]?[67]$", Cursor: &next, Stream: banger.StreamStdout}, h.Streams)
		if err != nil || string(got.Text) != want || got.Offset < next.Stdout {
			t.Fatalf("%+v, %v, want %s", got, err, want)
		}
		next = got.Next
	}
	found := make(chan error, 1)
	go func() {
		got, err := match(t, banger.MatchRequest{Pattern: "hello .*"}, h.Streams)
		if err == nil && string(got.Text) != "hello world" {
			err = fmt.Errorf("matched %q", got.Text)
		}
		found <- err
	}()
	send(t, h, "s", "world\n", false)
	if err := <-found; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := h.Streams.MatchSession(ctx, vmName, "s", banger.MatchRequest{Pattern: "name$"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the end of a line that has none: %+v, %v", got, err)
	}
	none := make(chan error, 1)
	go func() {
		_, err := match(t, banger.MatchRequest{Pattern: "never"}, h.Streams)
		none <- err
	}()
	send(t, h, "s", "\n", false)
	if err := <-none; banger.CodeOf(err) != banger.CodeState || !strings.Contains(err.Error(), "without one") {
		t.Errorf("of a session that ended: %v", err)
	}
}

func TestMatch_LastLineNeedsNoEnd(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", `printf 'a\nlast'`))
	wait(t, h, "s")
	if got, err := match(t, banger.MatchRequest{Pattern: "last$"}, h.Streams); err != nil || got.Offset != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMatch_OfALineWithoutEndIsBounded(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", `head -c 1000000 /dev/zero; echo needle`))
	wait(t, h, "s")
	if got, err := match(t, banger.MatchRequest{Pattern: "needle$"}, h.Streams); err != nil || got.Offset != 1_000_000 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMatch_RefusesWhatCannotBeLookedFor(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "read x"))
	for name, r := range map[string]banger.MatchRequest{
		"nothing":        {},
		"no pattern":     {Pattern: "("},
		"all":            {Pattern: ".*"},
		"a stream":       {Pattern: "a", Stream: "stdlog"},
		"before":         {Pattern: "a", Cursor: &banger.LogCursor{Stdout: -1}},
		"beyond":         {Pattern: "a", Cursor: &banger.LogCursor{Stderr: 1}},
		"too much of it": {Pattern: strings.Repeat("(a{1000}){1000}", 10)},
	} {
		if _, err := match(t, r, h.Streams); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLogs_LimitedReadingsGoOnWithoutLossOrRepeat(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "seq 500; seq 500 >&2; read x"))
	if _, err := match(t, banger.MatchRequest{Pattern: "^500$", Stream: banger.StreamStderr}, h.Streams); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	next := banger.LogCursor{}
	ended := false
	for reads := 0; !ended; reads++ {
		got := 0
		end, err := h.Streams.ReadLogs(t.Context(), vmName, "s", banger.LogRequest{Cursor: &next, Limit: 100}, func(c banger.LogChunk) error {
			if got += len(c.Data); c.Stream == banger.StreamStderr {
				errs.Write(c.Data)
			} else {
				out.Write(c.Data)
			}
			return nil
		})
		if err != nil || got > 100 || got < 100 && !end.AtEnd {
			t.Fatalf("a reading has %d bytes: %+v, %v", got, end, err)
		}
		if next == end.Next && end.AtEnd && !end.Ended {
			send(t, h, "s", "\n", false)
			wait(t, h, "s")
		}
		next, ended = end.Next, end.Ended
	}
	if len(out.String()) != 1892 || out.String() != errs.String() {
		t.Errorf("%d and %d bytes were read", out.Len(), errs.Len())
	}
}
