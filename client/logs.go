package client

import (
	"context"
	"time"

	"banger"
	"banger/api"
)

// ReadLogs implements banger.SessionStreams. It outlasts the daemon: the daemon
// first tells at which position it begins, and from there on every piece is
// counted, so that a new connection continues behind the last one.
func (c *Client) ReadLogs(ctx context.Context, vm, session string, r banger.LogRequest, fn func(banger.LogChunk) error) (banger.LogEnd, error) {
	reading := logReading{request: r, fn: fn, limited: r.Limit > 0}
	err := c.resume(ctx, func(alive func()) error {
		if reading.isFull() {
			return nil // only the end was cut off
		}
		return stream(ctx, c, api.ReadLogs, reading.next(vm, session), func(line api.LogLine) (done bool) {
			alive()
			return reading.take(line)
		})
	})
	if reading.failed != nil {
		err = reading.failed
	}
	if reading.request.Cursor != nil {
		reading.end.Next = *reading.request.Cursor
	}
	return reading.end, err
}

// logReading is how far a reading of logs has come.
type logReading struct {
	request banger.LogRequest // its Cursor is where the next connection begins, once that is known
	fn      func(banger.LogChunk) error
	limited bool
	begun   bool
	end     banger.LogEnd
	failed  error // what ended the reading, of the daemon or of fn
}

// isFull reports whether all that was asked for has come.
func (l *logReading) isFull() bool { return l.limited && l.request.Limit <= 0 }

// next returns the request for what is still to be read. Where it begins is said once.
func (l *logReading) next(vm, session string) api.SessionQuery[banger.LogRequest] {
	r := l.request
	if r.Cursor != nil {
		r.From, r.Since = nil, time.Time{}
	}
	if r.Cursor != nil || r.From != nil || !r.Since.IsZero() {
		r.Lines = banger.DefaultLogLines // which is not sent
	}
	return api.SessionQuery[banger.LogRequest]{VM: vm, Session: session, Request: r}
}

// take handles one line and reports whether it was the last.
func (l *logReading) take(line api.LogLine) (done bool) {
	switch {
	case line.Error != nil:
		l.failed = line.Error
	case line.Cursor != nil:
		moved := l.request.Cursor == nil || l.request.Cursor.Epoch != line.Cursor.Epoch
		l.request.Cursor = line.Cursor
		if l.request.Begin != nil && (moved || !l.begun) {
			l.failed = l.request.Begin(*line.Cursor)
		}
		l.begun = true
	case line.LogChunk != nil:
		l.failed = l.takeChunk(*line.LogChunk)
	case line.End != nil:
		l.end = *line.End
	}
	return line.End != nil || l.failed != nil
}

func (l *logReading) takeChunk(chunk banger.LogChunk) error {
	if l.request.Cursor == nil {
		return banger.Errorf(banger.CodeInternal, "cannot read log: the daemon did not say where it begins")
	}
	if err := l.fn(chunk); err != nil {
		return err
	}
	next := l.request.Cursor.Advance(chunk)
	l.request.Cursor = &next
	if l.limited {
		l.request.Limit -= int64(len(chunk.Data))
	}
	return nil
}
