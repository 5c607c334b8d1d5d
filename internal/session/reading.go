package session

import (
	"context"
	"errors"
	"iter"
	"regexp"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/linematch"
)

// reading is one reading of a session's output. Each page names where it begins, so
// a broken link costs neither a byte nor a repetition.
type reading struct {
	pages   *pages
	session banger.Session
	request banger.LogRequest
	fn      func(banger.LogChunk) error
	// patience bounds the wait for one page, if it is not 0.
	patience time.Duration
	// toNow makes it end with what a running session has written when it begins, which
	// else may write faster than it can be read.
	toNow bool
	pace  *searchPace // what it may cost; nil: as much as there is

	grep    *regexp.Regexp                      // nil: everything is passed on
	filters map[banger.Stream]*linematch.Filter // with grep, once it has begun
	left    int64                               // of the request's limit
	stop    *banger.LogCursor                   // with toNow: where it ends
	end     banger.LogEnd
}

func newReading(p *pages, x banger.Session, r banger.LogRequest, fn func(banger.LogChunk) error) *reading {
	return &reading{pages: p, session: x, request: r, fn: fn, left: r.Limit}
}

// errUntil ends the wait for output that would be too late.
var errUntil = errors.New("the time until which was to be read is past")

// run reads all that is asked for.
func (l *reading) run(ctx context.Context) (banger.LogEnd, error) {
	read, err := firstPage(l.session, l.request)
	if err != nil {
		return l.end, err
	}
	if l.request.Grep != "" {
		if l.grep, err = linematch.CompileFilter(l.request.Grep); err != nil {
			return l.end, err
		}
	}
	if l.toNow && !l.session.Status.Ended() {
		if err := l.findStop(ctx, read); err != nil {
			return l.end, err
		}
	}
	for first := true; ; first = false {
		if l.limited() && l.grep == nil {
			read.MaxBytes = int(min(l.left, guestapi.MaxLogPageBytes))
		}
		page, err := l.page(ctx, &read)
		if err != nil {
			return l.end, err
		}
		if first {
			err = l.begin(page.Begin)
		} else if page.Begin.Epoch != l.end.Next.Epoch {
			err = l.move(page.Begin.Epoch)
		}
		if err != nil {
			return l.end, err
		}
		if more, err := l.takePage(page); err != nil || !more {
			return l.end, err
		}
		read.Tail, read.Since, read.Cursor, read.Wait = nil, nil, page.Next, l.request.Follow
	}
}

func (l *reading) limited() bool { return l.request.Limit > 0 }

// findStop looks where the end is now.
func (l *reading) findStop(ctx context.Context, read guestapi.GuestLogRead) error {
	last := guestapi.GuestLogRead{ID: read.ID, Stream: read.Stream, Tail: new(int), MaxBytes: 1}
	page, err := l.page(ctx, &last)
	l.stop = &page.Begin
	return err
}

// stopped reports whether the end that was found at first is reached.
func (l *reading) stopped(at banger.LogCursor) bool {
	return l.stop != nil && at.Stdout >= l.stop.Stdout && at.Stderr >= l.stop.Stderr
}

// page reads the next page. When the time is past until which is to be read, the
// page has what is there, and it is not waited any more.
func (l *reading) page(ctx context.Context, read *guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	if l.pace == nil {
		return l.nextPage(ctx, read)
	}
	if err := l.pace.begin(ctx); err != nil {
		return guestapi.GuestLogPage{}, err
	}
	page, err := l.nextPage(ctx, read)
	if err == nil {
		err = l.pace.end(page)
	}
	return page, err
}

func (l *reading) nextPage(ctx context.Context, read *guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	if l.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, l.patience, impatience(l.patience))
		defer cancel()
	}
	if !read.Wait || l.request.Until.IsZero() {
		return l.pages.read(ctx, l.session, *read, l.request.Follow)
	}
	waiting, cancel := context.WithDeadlineCause(ctx, l.request.Until, errUntil)
	defer cancel()
	page, err := l.pages.read(waiting, l.session, *read, true)
	if err == nil || !errors.Is(context.Cause(waiting), errUntil) || ctx.Err() != nil {
		return page, err
	}
	read.Wait, l.request.Follow = false, false
	return l.pages.read(ctx, l.session, *read, l.request.Follow)
}

// begin is told where the reading begins.
func (l *reading) begin(at banger.LogCursor) error {
	l.end.Next = at
	if l.grep != nil {
		l.filters = map[banger.Stream]*linematch.Filter{
			banger.StreamStdout: linematch.NewFilter(l.grep, banger.StreamStdout, at.Stdout),
			banger.StreamStderr: linematch.NewFilter(l.grep, banger.StreamStderr, at.Stderr),
		}
	}
	if l.request.Begin == nil {
		return nil
	}
	return l.request.Begin(at)
}

// move continues in another epoch, in which what was read is the same.
func (l *reading) move(epoch banger.Epoch) error {
	l.end.Next.Epoch = epoch
	if l.request.Begin == nil {
		return nil
	}
	return l.request.Begin(l.end.Next)
}

// takePage passes a page on and reports whether there may be more.
func (l *reading) takePage(page guestapi.GuestLogPage) (more bool, err error) {
	l.end.AtEnd, l.end.Ended = false, false
	for _, chunk := range page.Chunks {
		if !l.request.Until.IsZero() && chunk.Time.After(l.request.Until) {
			return false, l.finish()
		}
		if more, err = l.take(chunk); err != nil || !more {
			return false, err
		}
	}
	l.end.AtEnd, l.end.Ended = page.AtEnd, page.Ended
	if page.AtEnd && (page.Ended || !l.request.Follow) || l.stopped(page.Next) {
		return false, l.finish()
	}
	return !l.full(), nil
}

// full reports whether the limit is reached.
func (l *reading) full() bool { return l.limited() && l.left <= 0 }

// take passes on what is asked for of a piece of output. It reports false when the
// limit is reached before the piece's end.
func (l *reading) take(chunk banger.LogChunk) (more bool, err error) {
	if l.grep == nil {
		return true, l.pass(chunk)
	}
	filter := l.filters[chunk.Stream]
	if chunk.Gap == 0 {
		return l.passAll(chunk.Stream, filter.Lines(chunk))
	}
	// What a gap cuts off is looked at as it is.
	if more, err := l.passAll(chunk.Stream, filter.Rest()); err != nil || !more {
		return more, err
	}
	filter.Skip(chunk.Offset + chunk.Gap)
	return true, l.pass(chunk)
}

// finish looks at last lines that will have no end.
func (l *reading) finish() error {
	for _, stream := range []banger.Stream{banger.StreamStdout, banger.StreamStderr} {
		if filter := l.filters[stream]; filter != nil {
			if more, err := l.passAll(stream, filter.Rest()); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// passAll passes on lines of a stream until the limit is reached.
func (l *reading) passAll(stream banger.Stream, lines iter.Seq[banger.LogChunk]) (more bool, err error) {
	for line := range lines {
		if err := l.pass(line); err != nil {
			return false, err
		}
		if l.full() {
			l.end.AtEnd, l.end.Ended = false, false
			return false, nil
		}
	}
	// What did not match is behind us too.
	l.end.Next = l.end.Next.Advance(banger.LogChunk{Stream: stream, Offset: l.filters[stream].At()})
	return true, nil
}

// pass passes one piece on.
func (l *reading) pass(chunk banger.LogChunk) error {
	if err := l.fn(chunk); err != nil {
		return err
	}
	l.end.Next = l.end.Next.Advance(chunk)
	l.left -= int64(len(chunk.Data))
	return nil
}
