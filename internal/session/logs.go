package session

import (
	"context"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/keylock"
)

// Streams implements banger.SessionStreams.
type Streams struct {
	finder   *finder
	launcher *launcher
	pages    *pages
	shims    *shims
	epochs   *epochs

	stdin keylock.Locks[banger.SessionKey] // each is held while something is sent to the session
	// senderID is that of all attachments that send: they take turns, and the next
	// need not wait for the lease of one whose link broke at its end.
	senderID string
}

// ReadLogs implements banger.SessionStreams.
func (s *Streams) ReadLogs(ctx context.Context, vmRef, ref string, r banger.LogRequest, fn func(banger.LogChunk) error) (banger.LogEnd, error) {
	x, err := s.finder.session(ctx, vmRef, ref)
	if err == nil {
		x, err = s.launcher.settled(ctx, x)
	}
	if err != nil {
		return banger.LogEnd{}, err
	}
	return newReading(s.pages, x, r, fn).run(ctx)
}

// firstPage turns a request into the first read of the guest's files.
func firstPage(x banger.Session, r banger.LogRequest) (guestapi.GuestLogRead, error) {
	read := guestapi.GuestLogRead{ID: x.ID, Stream: r.Stream, MaxBytes: guestapi.MaxLogPageBytes}
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
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: %q is not one of stdout, stderr, both", x.Name, string(r.Stream))
	}
	switch {
	case strangeTime(r.Since) || strangeTime(r.Until):
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: times must be between the years %d and %d", x.Name, banger.MinYear, banger.MaxYear)
	case !r.Since.IsZero() && (r.From != nil || r.Cursor != nil):
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: it cannot begin both since a time and at an offset", x.Name)
	case r.Limit < 0:
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: a limit of %d bytes is negative", x.Name, r.Limit)
	case r.Cursor != nil && (r.Cursor.Stdout < 0 || r.Cursor.Stderr < 0):
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: cursor %v is negative", x.Name, *r.Cursor)
	case r.Cursor != nil:
		read.Cursor = *r.Cursor
	case r.From != nil && *r.From < 0:
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: offset %d is negative", x.Name, *r.From)
	case r.From != nil && read.Stream == banger.StreamBoth && *r.From != 0:
		return read, banger.Errorf(banger.CodeInvalid, "cannot read log of session %q: an offset belongs to one stream", x.Name).
			WithHint("choose stdout or stderr")
	case r.From != nil && read.Stream == banger.StreamStderr:
		read.Cursor = banger.LogCursor{Epoch: r.Epoch, Stderr: *r.From}
	case r.From != nil:
		read.Cursor = banger.LogCursor{Epoch: r.Epoch, Stdout: *r.From}
	case !r.Since.IsZero():
		read.Since = &r.Since
	case r.Lines >= 0:
		read.Tail = &r.Lines
	}
	return read, nil
}

// strangeTime reports whether t is set and beyond them.
func strangeTime(t time.Time) bool {
	return !t.IsZero() && !banger.ValidTime(t)
}
