package session

import (
	"context"

	"banger"
)

// ReadLogs implements banger.SessionStreams. Each page names where it begins,
// so a broken link costs neither a byte nor a repetition.
func (s *Service) ReadLogs(ctx context.Context, vmRef, ref string, r banger.LogRequest, fn func(banger.LogChunk) error) (end banger.LogEnd, err error) {
	x, err := s.GetSession(ctx, vmRef, ref)
	if err == nil {
		x, err = s.settled(ctx, x)
	}
	if err != nil {
		return end, err
	}
	read, err := firstPage(x, r)
	if err != nil {
		return end, err
	}
	left := r.Limit
	for first := true; ; first = false {
		if r.Limit > 0 {
			read.MaxBytes = int(min(left, banger.MaxLogPageBytes))
		}
		page, err := s.readPage(ctx, x, read)
		if err != nil {
			return end, err
		}
		if first {
			end.Next = page.Begin
			if r.Begin != nil {
				if err := r.Begin(page.Begin); err != nil {
					return end, err
				}
			}
		}
		for _, chunk := range page.Chunks {
			if err := fn(chunk); err != nil {
				return end, err
			}
			end.Next = end.Next.Advance(chunk)
			left -= int64(len(chunk.Data))
		}
		end.AtEnd, end.Ended = page.AtEnd, page.Ended
		if page.AtEnd && (page.Ended || !r.Follow) || r.Limit > 0 && left <= 0 {
			return end, nil
		}
		read.Tail, read.Cursor, read.Wait = nil, page.Next, r.Follow
	}
}

// firstPage turns a request into the first read of the guest's files.
func firstPage(x banger.Session, r banger.LogRequest) (banger.GuestLogRead, error) {
	read := banger.GuestLogRead{ID: x.ID, Stream: r.Stream, MaxBytes: banger.MaxLogPageBytes}
	if read.Stream == "" {
		read.Stream = banger.StreamBoth
	}
	if x.TTY && read.Stream == banger.StreamBoth {
		read.Stream = banger.StreamStdout
	}
	switch read.Stream {
	case banger.StreamStdout, banger.StreamBoth:
	case banger.StreamStderr:
		if x.TTY {
			return read, banger.Errorf(banger.CodeInvalid, "cannot read stderr of session %q: a terminal has one stream", x.Name).
				WithHint("read stdout")
		}
	default:
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: %q is none of stdout, stderr, both", x.Name, string(r.Stream))
	}
	switch {
	case r.Limit < 0:
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: a limit of %d bytes is negative", x.Name, r.Limit)
	case r.Cursor != nil && (r.Cursor.Stdout < 0 || r.Cursor.Stderr < 0):
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: cursor %+v is negative", x.Name, *r.Cursor)
	case r.Cursor != nil:
		read.Cursor = *r.Cursor
	case r.From != nil && *r.From < 0:
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: offset %d is negative", x.Name, *r.From)
	case r.From != nil && read.Stream == banger.StreamBoth && *r.From != 0:
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: an offset belongs to one stream", x.Name).
			WithHint("choose stdout or stderr")
	case r.From != nil && read.Stream == banger.StreamStderr:
		read.Cursor.Stderr = *r.From
	case r.From != nil:
		read.Cursor.Stdout = *r.From
	case r.Lines >= 0:
		read.Tail = &r.Lines
	}
	return read, nil
}
