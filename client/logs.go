package client

import (
	"context"
	"strconv"

	"banger"
	"banger/api"
)

// ReadLogs implements banger.SessionControl. It outlasts the daemon: the daemon
// first tells at which position it begins, and from there on every piece is
// counted, so that a new connection goes on behind the last one.
func (c *Client) ReadLogs(ctx context.Context, vm, session string, r banger.LogRequest, fn func(banger.LogChunk) error) error {
	reading := logReading{request: r, fn: fn}
	err := c.resume(ctx, func(alive func()) error {
		return stream(ctx, c, reading.next(vm, session), func(line api.LogLine) (done bool) {
			alive()
			return reading.take(line)
		})
	})
	if reading.end != nil {
		return reading.end
	}
	return err
}

// logReading is how far a reading of logs has come.
type logReading struct {
	request banger.LogRequest // its Cursor is where the next connection begins, once that is known
	fn      func(banger.LogChunk) error
	begun   bool
	end     error // what ended the reading, of the daemon or of fn
}

// next returns the request for what is still to be read.
func (l *logReading) next(vm, session string) request {
	q := get(sessionPath+"/logs", vm, session)
	r := l.request
	q.query.Set("stream", string(r.Stream))
	q.query.Set("follow", strconv.FormatBool(r.Follow))
	switch {
	case r.Cursor != nil:
		q.query.Set("cursor", api.FormatCursor(*r.Cursor))
	case r.From != nil:
		q.query.Set("from", strconv.FormatInt(*r.From, 10))
	default:
		q.query.Set("lines", strconv.Itoa(r.Lines))
	}
	return q
}

// take handles one line and reports whether it was the last.
func (l *logReading) take(line api.LogLine) (done bool) {
	switch {
	case line.Error != nil:
		l.end = line.Error
	case line.Cursor != nil:
		l.request.Cursor = line.Cursor
		if l.request.Begin != nil && !l.begun {
			l.end = l.request.Begin(*line.Cursor)
		}
		l.begun = true
	case line.LogChunk != nil:
		if l.request.Cursor == nil {
			l.end = banger.Errorf(banger.CodeInternal, "cannot read log: the daemon did not say where it begins")
			break
		}
		l.end = l.fn(*line.LogChunk)
		next := l.request.Cursor.Advance(*line.LogChunk)
		l.request.Cursor = &next
	}
	return line.End || l.end != nil
}
