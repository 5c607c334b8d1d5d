package sessionstream

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"banger"
)

// tellTimeout is how long the server may take to say what it accepted of a feed
// that was given up.
const tellTimeout = 2 * time.Second

// Feed writes data to a session's stdin to its end, then closes stdin if eof is
// set, as the attachment of c, which must be a writer. It returns when all of it
// has been accepted. offset, if not nil, is the position of the first byte: what
// has been accepted already is not sent again, and a gap is CodeOffset.
//
// The result is what the session has accepted, with an error too; if ctx ends, the
// feed is cut and the result is still exact, unless there is no connection. data
// may be nil; after an error it may still be read once.
func Feed(ctx context.Context, c Config, offset *int64, data io.Reader, eof bool) (banger.SendResult, error) {
	// What ends with ctx is the sending only: the answer to it is still awaited.
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	opening := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	a, err := Open(life, c)
	if err != nil {
		return banger.SendResult{}, err
	}
	defer a.Close()
	if a.Attached().Stdin == nil {
		return banger.SendResult{}, (&Evicted{}).Err()
	}
	opening()
	giveUp := context.AfterFunc(ctx, func() {
		a.Detach()
		time.AfterFunc(tellTimeout, func() { end(context.Cause(ctx)) })
	})
	defer giveUp()

	f := newFeed(a, offset)
	go f.send(data, eof)
	err = f.await(eof)
	a.Detach()
	if refused, ok := errors.AsType[*Error](err); ok && refused.Offset != nil {
		f.result.Offset = max(f.result.Offset, *refused.Offset)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return f.result, err
}

// feed is a Feed under way.
type feed struct {
	attachment *Attachment
	granted    *Grant
	begin      int64 // the position of its first byte
	result     banger.SendResult
	sent       atomic.Pointer[sent] // nil while there is more to send
	over       chan struct{}        // closed when it is not nil any more
}

// sent is how the sending ended.
type sent struct {
	bytes int64 // sent, or found to be accepted before
	err   error // why that is not all
}

func newFeed(a *Attachment, offset *int64) *feed {
	g := a.Attached().Stdin
	f := &feed{attachment: a, granted: g, begin: g.Offset, result: banger.SendResult{Epoch: g.Epoch, Offset: g.Offset, EOF: g.EOF}, over: make(chan struct{})}
	if offset != nil {
		f.begin = *offset
	}
	return f
}

func (f *feed) send(data io.Reader, eof bool) {
	s := &sent{}
	known := f.granted.Offset - f.begin
	if known < 0 {
		s.err = &Error{Code: CodeOffset, Text: "there is a gap in stdin", Offset: new(f.granted.Offset)}
	} else if data != nil {
		s.bytes, s.err = io.CopyN(io.Discard, data, known)
		if s.err == nil {
			var n int64
			n, s.err = io.Copy(f.attachment, data)
			s.bytes += n
		} else if errors.Is(s.err, io.EOF) {
			s.err = nil
		}
	}
	if eof && s.err == nil && !f.granted.EOF {
		s.err = f.attachment.CloseStdin()
		if refused, ok := errors.AsType[*Error](s.err); ok && refused.Code == CodeClosed {
			s.err = nil // as it was to be
		}
	}
	f.sent.Store(s)
	close(f.over)
	_ = f.attachment.Ping() // its answer wakes await, as the next connection does
}

// await returns when all that is sent has been accepted, or cannot be.
func (f *feed) await(eof bool) error {
	for {
		if s := f.sent.Load(); s != nil {
			_, refused := errors.AsType[*Error](s.err)
			if refused || f.result.Offset >= f.begin+s.bytes && (f.result.EOF || !eof || s.err != nil) {
				return s.err
			}
		}
		m, err := f.attachment.Receive()
		if err != nil {
			return err
		}
		switch c := m.Control.(type) {
		case *StdinAck:
			f.result.Offset, f.result.EOF = c.Offset, c.EOF
		case *Error: // stdin takes no more, or no end-of-file
			if c.Offset != nil {
				f.result.Offset = *c.Offset
			}
			f.result.EOF = f.result.EOF || c.Code == CodeClosed
			return c
		case *Evicted:
			return c.Err()
		case *Exit:
			f.result.Offset, f.result.EOF = c.State.StdinOffset, true
			if !f.acceptedAll() {
				return errorf(CodeClosed, "the session has ended")
			}
		}
	}
}

// acceptedAll reports, when stdin takes no more, whether all there was to send has
// been accepted. The session may end before the data's end has been read; who goes
// on to hold that back does not know either whether there is more.
func (f *feed) acceptedAll() bool {
	select {
	case <-f.over:
	case <-time.After(tellTimeout):
		return false
	}
	s := f.sent.Load()
	return s.err == nil && f.result.Offset >= f.begin+s.bytes
}
