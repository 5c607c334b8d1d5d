//go:build !unit

package guest_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creachadair/jrpc2"

	"banger"
	"banger/internal/guest/guesttest"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// asked does one call of a guest that answers one method with result.
func asked(t *testing.T, method string, result any, call func(context.Context, guestapi.Guest) error) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, always(guesttest.Answers{method: guesttest.Always(result)}.Control()))
		defer r.end()
		err = call(t.Context(), r.guest(t))
	})
	return err
}

// A launch that an older agent would take for another is not sent to it.
func TestLaunch_OfALoginShellIsNotSentToAnAgentThatDoesNotKnowThem(t *testing.T) {
	launch := guestapi.GuestLaunch{ID: sessionID, Launch: banger.Launch{LoginShell: true}}
	err := asked(t, guestrpc.MethodLaunch, guestapi.GuestSession{ID: sessionID}, func(ctx context.Context, g guestapi.Guest) error {
		_, err := g.Launch(ctx, launch)
		return err
	})
	if banger.CodeOf(err) != banger.CodeMismatch || !strings.Contains(err.Error(), "restart the VM") {
		t.Errorf("the error is %v", err)
	}
}

func chunk(stream banger.Stream, offset int64, data string) banger.LogChunk {
	return banger.LogChunk{Stream: stream, Offset: offset, Data: []byte(data)}
}

func TestReadLog_TakesOnlyTheNextPartOfWhatWasAsked(t *testing.T) {
	const out, both = banger.StreamStdout, banger.StreamBoth
	two := 2
	from := banger.LogCursor{Stdout: 10, Stderr: 20}
	base := guestapi.GuestLogRead{ID: sessionID, Stream: out, Cursor: from, MaxBytes: 8}
	with := func(change func(*guestapi.GuestLogRead)) guestapi.GuestLogRead { r := base; change(&r); return r }
	at := func(stdout, stderr int64) banger.LogCursor { return banger.LogCursor{Stdout: stdout, Stderr: stderr} }
	for name, c := range map[string]struct {
		read guestapi.GuestLogRead
		page guestapi.GuestLogPage
		ok   bool
	}{
		"the next part":        {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk(out, 10, "abc")}, Next: at(13, 20)}, true},
		"the end":              {base, guestapi.GuestLogPage{Begin: from, Next: from, AtEnd: true, Ended: true}, true},
		"both streams":         {with(func(r *guestapi.GuestLogRead) { r.Stream = both }), guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk("stderr", 20, "a"), chunk(out, 10, "b"), chunk("stderr", 21, "c")}, Next: at(11, 22)}, true},
		"the tail":             {with(func(r *guestapi.GuestLogRead) { r.Tail = &two }), guestapi.GuestLogPage{Begin: at(70, 0), Chunks: []banger.LogChunk{chunk(out, 70, "a")}, Next: at(71, 0), AtEnd: true}, true},
		"a gap":                {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{{Stream: out, Offset: 10, Gap: 5, Reason: "log limit"}, chunk(out, 15, "a")}, Next: at(16, 20)}, true},
		"gaps only":            {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{{Stream: out, Offset: 10, Gap: 1}}, Next: at(11, 20)}, false},
		"a gap backwards":      {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{{Stream: out, Offset: 10, Gap: -5}}, Next: at(5, 20)}, false},
		"a gap beside bytes":   {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{{Stream: out, Offset: 10, Gap: 5, Data: []byte("a")}}, Next: at(16, 20)}, false},
		"a long reason":        {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{{Stream: out, Offset: 10, Gap: 5, Reason: strings.Repeat("x", 1000)}}, Next: at(15, 20)}, false},
		"more than asked":      {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk(out, 10, "123456789")}, Next: at(19, 20)}, false},
		"the other stream":     {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk("stderr", 20, "a")}, Next: at(10, 21)}, false},
		"no stream":            {with(func(r *guestapi.GuestLogRead) { r.Stream = both }), guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk("x", 10, "a")}, Next: at(11, 20)}, false},
		"elsewhere":            {base, guestapi.GuestLogPage{Begin: at(0, 20), Chunks: []banger.LogChunk{chunk(out, 0, "a")}, Next: at(1, 20)}, false},
		"a hole":               {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk(out, 11, "a")}, Next: at(12, 20)}, false},
		"next goes back":       {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk(out, 10, "a")}, Next: at(5, 20)}, false},
		"next jumps":           {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk(out, 10, "a")}, Next: at(99, 20)}, false},
		"nothing, not the end": {base, guestapi.GuestLogPage{Begin: from, Next: from}, false},
		"an empty piece":       {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk(out, 10, "")}, Next: from}, false},
		"waited for nothing":   {with(func(r *guestapi.GuestLogRead) { r.Wait = true }), guestapi.GuestLogPage{Begin: from, Next: from, AtEnd: true}, false},
		"ended, not at end":    {base, guestapi.GuestLogPage{Begin: from, Chunks: []banger.LogChunk{chunk(out, 10, "a")}, Next: at(11, 20), Ended: true}, false},
		"a negative beginning": {with(func(r *guestapi.GuestLogRead) { r.Tail = &two }), guestapi.GuestLogPage{Begin: at(-1, 0), Chunks: []banger.LogChunk{chunk(out, -1, "a")}, Next: at(0, 0)}, false},
		"an offset at the top": {with(func(r *guestapi.GuestLogRead) { r.Tail = &two }), guestapi.GuestLogPage{Begin: at(math.MaxInt64, 0), Chunks: []banger.LogChunk{chunk(out, math.MaxInt64, "a")}, Next: at(math.MinInt64, 0)}, false},
	} {
		err := asked(t, guestrpc.MethodReadLog, c.page, func(ctx context.Context, g guestapi.Guest) error {
			_, err := g.ReadLog(ctx, c.read)
			return err
		})
		if c.ok != (err == nil) || !c.ok && banger.CodeOf(err) != banger.CodeInternal {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestGuest_ErrorTextIsBounded(t *testing.T) {
	huge := strings.Repeat("x\x1b", 1<<16)
	for name, answer := range map[string]error{
		"of ours":         (&jrpc2.Error{Code: guestrpc.CodeBanger}).WithData(&banger.Error{Code: banger.CodeState, Message: huge, Hint: huge, Candidates: []string{huge}}),
		"of the protocol": &jrpc2.Error{Code: 7, Message: huge},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := open(t, always(guesttest.Answers{guestrpc.MethodStop: func(context.Context, json.RawMessage) (any, error) { return nil, answer }}.Control()))
			defer r.end()
			err := r.guest(t).Stop(t.Context(), sessionID, banger.StopRequest{Kill: true})
			data, marshalErr := json.Marshal(err)
			if err == nil || marshalErr != nil || len(data) > 200_000 || len(err.Error()) > 10_000 {
				t.Errorf("%s: %d bytes of text, %d in all, %v", name, len(err.Error()), len(data), marshalErr)
			}
		})
	}
}

func TestGuest_HugeAnswersAreRefused(t *testing.T) {
	chunks := json.RawMessage(`{"pieces":[` + strings.Repeat("{},", 25_000) + `{}]}`)
	err := asked(t, guestrpc.MethodReadLog, chunks, func(ctx context.Context, g guestapi.Guest) error {
		_, err := g.ReadLog(ctx, guestapi.GuestLogRead{ID: sessionID, Stream: banger.StreamBoth, MaxBytes: 1})
		return err
	})
	if banger.CodeOf(err) != banger.CodeInternal {
		t.Errorf("got %v", err)
	}
}

func TestGuest_GreetingIsChecked(t *testing.T) {
	for name, hello := range map[string]guestapi.GuestHello{
		"no boot id":         {Protocol: guestapi.GuestProtocol},
		"a boot id of words": {Protocol: guestapi.GuestProtocol, BootID: strings.Repeat("boot", 9)},
		"a long boot id":     {Protocol: guestapi.GuestProtocol, BootID: strings.Repeat("0", 2000)},
		"a long version":     {Protocol: guestapi.GuestProtocol, BootID: guesttest.BootID, Version: strings.Repeat("v", 2000)},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := open(t, always(guesttest.Answers{guestrpc.MethodHello: guesttest.Always(hello)}.Control()))
			defer r.end()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := r.Guest(ctx, vm)
			if err == nil || !strings.Contains(err.Error(), "greeting") || len(err.Error()) > 1000 {
				t.Errorf("%s: got %.300v", name, err)
			}
		})
	}
}

func TestGuest_OnlySoundReportsOfAListCount(t *testing.T) {
	sound := report(1)
	wrongID, wrongStatus, long, negative := report(1), report(1), report(1), report(1)
	wrongID.ID, wrongStatus.Status, negative.StdoutBytes = "../../etc/passwd/aaa", "dancing", -1
	long.LastError = strings.Repeat("x", 100<<10)
	list := []any{wrongID, wrongStatus, long, negative, map[string]any{}, sound, []any{}, 7}
	synctest.Test(t, func(t *testing.T) {
		r := open(t, always(guesttest.Answers{guestrpc.MethodList: guesttest.Always(map[string]any{"sessions": list})}.Control()))
		defer r.end()
		r.guest(t)
		if _, listed := r.handler.seen(); len(listed) != 1 || listed[0].ID != sound.ID {
			t.Errorf("%d reports were taken: %.300v", len(listed), listed)
		}
	})
}
