package sessionstream

import "errors"

// Offer feeds stdin for a client that is served by this attachment's owner. It is as
// Write, but does not wait for room in the window: a client that keeps to the protocol
// has left some. Nor does it judge what comes behind an end of stdin; the server does.
//
// The result is what the client has to be told at once, or nil: an *Error, after which
// the client is ended if the protocol says so. What the client has sent before it knew
// that stdin was taken over is dropped.
func (a *Attachment) Offer(p []byte) Control { return a.out.stdin.offer(p) }

// OfferEOF is Offer for an end of stdin, wherever the client believes that stdin stands.
// The result may be a *StdinAck, too.
func (a *Attachment) OfferEOF(end EOF) Control { return a.out.stdin.offerEOF(end) }

func (s *stdin) offer(p []byte) Control {
	s.link.sending.Lock()
	defer s.link.sending.Unlock()
	s.mu.Lock()
	switch {
	case s.failed != nil:
		defer s.mu.Unlock()
		return s.refusalLocked()
	case int64(len(p)) > s.unacked.room():
		defer s.mu.Unlock()
		return errorf(CodeInvalid, "more than %d bytes of stdin were sent without an acknowledgement", s.unacked.limit)
	}
	s.unacked.add(p)
	s.sendAndUnlock(func(w *Writer) error { return w.WriteData(ChannelStdin, p) })
	return nil
}

func (s *stdin) offerEOF(end EOF) Control {
	s.link.sending.Lock()
	defer s.link.sending.Unlock()
	s.mu.Lock()
	switch {
	case s.failed == nil:
		s.finishAndUnlock(end)
		return nil
	case !isClosed(s.failed):
		defer s.mu.Unlock()
		return s.refusalLocked()
	}
	defer s.mu.Unlock()
	if end.Offset != nil && *end.Offset != s.unacked.from {
		e := errorf(CodeOffset, "stdin stands at %d, not at %d", s.unacked.from, *end.Offset)
		e.Offset = new(s.unacked.from)
		return e
	}
	return &StdinAck{Offset: s.unacked.from, EOF: true} // to close it again is not an error
}

// refusalLocked is what a client is told that offers stdin which is not taken; nil if
// it knows, or is just being told. The caller holds mu.
func (s *stdin) refusalLocked() Control {
	switch {
	case errors.Is(s.failed, errNotWriter):
		return errorf(CodeInvalid, "a viewer must not send that")
	case isClosed(s.failed) && !s.told:
		s.told = true
		return &Error{Code: CodeClosed, Text: s.failed.Error(), Offset: new(s.unacked.from)}
	}
	return nil
}

func isClosed(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeClosed
}
