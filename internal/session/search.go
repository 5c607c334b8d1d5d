package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/linematch"
)

// searchParallel is in how many VMs is searched at once; in each, one session after
// the other, and where more VMs wait, in turns. What a search holds of a session is a page and two lines.
const searchParallel = 4

// searchPatience is how long the next part of a log may take to come. A VM for which
// that is not enough is given up.
const searchPatience = 30 * time.Second

// errEnough ends a search at its limit.
var errEnough = errors.New("the limit of the search is reached")

// SearchSessions implements banger.SessionStreams.
func (s *Streams) SearchSessions(ctx context.Context, r banger.SearchRequest, fn func(banger.SearchResult) error) (banger.SearchEnd, error) {
	if err := checkSearch(r); err != nil {
		return banger.SearchEnd{}, err
	}
	places, err := s.finder.selectSessions(ctx, r.VMs, banger.SessionFilter{Status: r.Status, Tags: r.Tags})
	if err != nil {
		return banger.SearchEnd{}, err
	}
	search := &search{pages: s.pages, store: s.finder.store, request: r, fn: fn, slots: make(slots, searchParallel)}
	group, ctx := errgroup.WithContext(ctx)
	for _, place := range places {
		group.Go(func() error { return search.vm(ctx, place) })
	}
	err = group.Wait()
	if errors.Is(err, errEnough) {
		search.end.Limited, err = true, nil
	}
	return search.end, err
}

func checkSearch(r banger.SearchRequest) error {
	if r.Pattern == "" {
		return banger.Errorf(banger.CodeInvalid, "cannot search sessions: no pattern is given").WithHint("for every line that is not empty, search for .")
	}
	if r.Limit < 0 {
		return banger.Errorf(banger.CodeInvalid, "cannot search sessions: a limit of %d lines is negative", r.Limit)
	}
	if _, err := linematch.CompileFilter(r.Pattern); err != nil {
		return err
	}
	// All that can be wrong with the reading of a log, but for the session.
	_, err := firstPage(banger.Session{Name: "*"}, searchReading(r))
	return err
}

// searchReading is the reading of one session.
func searchReading(r banger.SearchRequest) banger.LogRequest {
	return banger.LogRequest{Stream: r.Stream, Lines: -1, Since: r.Since, Until: r.Until, Grep: r.Pattern}
}

// search is one search.
type search struct {
	pages   *pages
	store   Store
	request banger.SearchRequest
	slots   slots

	mu  sync.Mutex // guards fn and end
	fn  func(banger.SearchResult) error
	end banger.SearchEnd
}

// vm searches the sessions of one VM.
func (q *search) vm(ctx context.Context, place vmSessions) error {
	var unreachable error
	for _, x := range place.sessions {
		where := place.of(x)
		cause := unreachable
		if cause == nil {
			var err error
			if cause, err = q.session(ctx, place.vm, x, where); err != nil {
				return err
			}
		}
		switch banger.CodeOf(cause) {
		case "", banger.CodeNotFound, banger.CodeCorrupt, banger.CodeInvalid: // the next session may be better
		default:
			unreachable = cause
		}
		if err := q.searched(where, cause); err != nil {
			return err
		}
	}
	return nil
}

// session searches one session. cause is why it could not be; err ends the search.
func (q *search) session(ctx context.Context, vm banger.VM, x banger.Session, where banger.SessionPlace) (cause, err error) {
	if x.Status == banger.StatusStarting || x.EndedBy == banger.EndedByLaunch || x.TTY && q.request.Stream == banger.StreamStderr {
		return nil, nil // there is nothing
	}
	if err := q.slots.take(ctx); err != nil {
		return nil, err
	}
	defer q.slots.give()
	var reading *reading
	reading = newReading(q.pages, x, searchReading(q.request), func(line banger.LogChunk) error {
		if line.Gap > 0 {
			return nil
		}
		err = q.found(banger.SearchHit{SessionPlace: where, Stream: line.Stream, Epoch: reading.end.Next.Epoch, Offset: line.Offset, Time: line.Time, Line: line.Data})
		return err
	})
	reading.patience, reading.toNow = searchPatience, true
	reading.pace = newSearchPace(q.slots, x, int64(vm.WorkDiskMiB)<<20)
	_, cause = reading.run(ctx)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil && cause != nil {
		if _, gone := q.store.GetSession(ctx, x.Key()); banger.CodeOf(gone) == banger.CodeNotFound {
			return nil, nil // it has been removed meanwhile
		}
	}
	return cause, err
}

// found passes on a line.
func (q *search) found(hit banger.SearchHit) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full() {
		return errEnough
	}
	if err := q.fn(banger.SearchResult{Hit: &hit}); err != nil {
		return err
	}
	if q.end.Lines++; q.full() {
		return errEnough
	}
	return nil
}

// full reports whether the limit is reached. The caller holds mu.
func (q *search) full() bool { return q.request.Limit > 0 && q.end.Lines >= q.request.Limit }

// searched counts a session, and passes on why it could not be searched.
func (q *search) searched(where banger.SessionPlace, cause error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full() {
		return errEnough
	}
	q.end.Sessions++
	if cause == nil {
		return nil
	}
	q.end.Failures++
	failure := banger.Errorf(banger.CodeOf(cause), "cannot search session %q of VM %s: %w", where.Session, where.VM, cause)
	return q.fn(banger.SearchResult{Failure: &banger.SearchFailure{SessionPlace: where, Error: failure}})
}

// impatience is the error of a guest that took too long.
func impatience(patience time.Duration) error {
	return banger.Errorf(banger.CodeUnavailable, "the guest has not answered for %s", patience)
}
