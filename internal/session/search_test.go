//go:build !unit

package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/hosttest"
)

// search returns the lines that are found, sorted, each as VM/session stream offset
// line, and how it ended.
func search(t *testing.T, h *hosttest.Host, r banger.SearchRequest) (hits []string, end banger.SearchEnd) {
	t.Helper()
	end, err := h.Streams.SearchSessions(t.Context(), r, func(result banger.SearchResult) error {
		if result.Failure != nil {
			t.Errorf("failure: %+v", result.Failure)
			return nil
		}
		x := result.Hit
		hits = append(hits, fmt.Sprintf("%s/%s %s %d %s", x.VM, x.Session, x.Stream, x.Offset, strings.TrimSuffix(string(x.Line), "\n")))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(hits)
	return hits, end
}

func TestSearch_EndsAtItsLimitAndWithItsCaller(t *testing.T) {
	h := newHost(t)
	startIn(t, h, vmName, shell("one", "seq 100000"))
	startIn(t, h, vmName, shell("two", "seq 100000"))
	hits, end := search(t, h, banger.SearchRequest{Pattern: "7", Limit: 3})
	if want := []string{"vm/one stdout 12 7", "vm/one stdout 39 17", "vm/one stdout 69 27"}; !slices.Equal(hits, want) || !end.Limited || end.Lines != 3 {
		t.Errorf("%q, %+v", hits, end)
	}
	enough := errors.New("enough")
	calls := 0
	_, err := h.Streams.SearchSessions(t.Context(), banger.SearchRequest{Pattern: "7"}, func(banger.SearchResult) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = h.Streams.SearchSessions(ctx, banger.SearchRequest{Pattern: "7"}, func(banger.SearchResult) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("with its context it ends with %v", err)
	}
}

func TestSearch_EndsThoughASessionWritesFasterThanItIsRead(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: "s", SessionState: banger.SessionState{Status: banger.StatusStarting}}
		if _, _, err := r.store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), report(x.ID, 1, banger.StatusRunning)); err != nil {
			t.Fatal(err)
		}
		const written = 1000 // when the search begins; there is always more
		r.guest.readLog = func(_ context.Context, q guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
			if q.Tail != nil {
				q.Cursor.Stdout = written
			}
			if q.Cursor.Stdout > written {
				t.Errorf("it reads on at %d", q.Cursor.Stdout)
				return guestapi.GuestLogPage{Begin: q.Cursor, Next: q.Cursor, AtEnd: true, Ended: true}, nil
			}
			line := banger.LogChunk{Stream: banger.StreamStdout, Offset: q.Cursor.Stdout, Data: []byte("123456789\n")}
			return guestapi.GuestLogPage{Begin: q.Cursor, Chunks: []banger.LogChunk{line}, Next: q.Cursor.Advance(line)}, nil
		}
		end, err := r.SearchSessions(t.Context(), banger.SearchRequest{Pattern: "1"}, func(banger.SearchResult) error { return nil })
		if err != nil || end.Lines != written/10 || end.Failures != 0 {
			t.Errorf("%+v, %v", end, err)
		}
	})
}

func TestSearch_RefusesWhatCannotBeLookedFor(t *testing.T) {
	h := newHost(t)
	for name, r := range map[string]banger.SearchRequest{
		"no pattern":   {},
		"a pattern":    {Pattern: "("},
		"a stream":     {Pattern: "a", Stream: "stdlog"},
		"a status":     {Pattern: "a", Status: "done"},
		"a limit":      {Pattern: "a", Limit: -1},
		"strange time": {Pattern: "a", Since: time.Unix(-1, 0)},
	} {
		if _, err := h.Streams.SearchSessions(t.Context(), r, nil); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Streams.SearchSessions(t.Context(), banger.SearchRequest{Pattern: "a", VMs: []string{"none"}}, nil); banger.CodeOf(err) != banger.CodeNotFound {
		t.Errorf("of no VM: %v", err)
	}
}

func TestSearch_VMThatCannotBeReachedIsToldOfAndGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		const sessions = 10
		for n := range sessions {
			x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: fmt.Sprint("s", n), SessionState: banger.SessionState{Status: banger.StatusStarting}}
			if _, _, err := r.store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
				t.Fatal(err)
			}
			if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), report(x.ID, 1, banger.StatusRunning)); err != nil {
				t.Fatal(err)
			}
		}
		r.reach(func(ctx context.Context) (guestapi.Guest, error) {
			<-ctx.Done()
			return nil, banger.Errorf(banger.CodeUnavailable, "cannot reach the guest: %w", context.Cause(ctx))
		})
		began := time.Now()
		var told []string
		end, err := r.SearchSessions(t.Context(), banger.SearchRequest{Pattern: "a"}, func(result banger.SearchResult) error {
			told = append(told, result.Failure.Session)
			if e := result.Failure.Error; e.Code != banger.CodeUnavailable || !strings.Contains(e.Message, "cannot search session") {
				t.Errorf("%+v", e)
			}
			return nil
		})
		if err != nil || end.Failures != sessions || end.Sessions != sessions || len(told) != sessions || time.Since(began) > time.Minute {
			t.Errorf("%q, %+v, %v, after %v", told, end, err, time.Since(began))
		}
	})
}
