package sessionstream

import "errors"

// Offer feeds stdin for a client that is served by this attachment's owner. It is as
// Write, but does not wait for room in the window: a client that keeps to the protocol
// has left some. Nor does it judge what comes behind an end of stdin; the server does.
//
// The result is what the client has to be told at once, or nil: an *Error, after which
// the client is ended if the protocol says so. What the client has sent before it knew
// that stdin was taken over is dropped.
func (a *Attachment) Offer(p []byte) Control { return a.out.offer(p) }

// OfferEOF is Offer for an end of stdin, wherever the client believes that stdin stands.
// The result may be a *StdinAck, too.
func (a *Attachment) OfferEOF(end EOF) Control { return a.out.offerEOF(end) }

func (o *outgoing) offer(p []byte) Control {
	o.sending.Lock()
	defer o.sending.Unlock()
	o.mu.Lock()
	switch {
	case o.failed != nil:
		defer o.mu.Unlock()
		return o.refusalLocked()
	case int64(len(o.unacked)+len(p)) > o.limit:
		defer o.mu.Unlock()
		return errorf(CodeInvalid, "more than %d bytes of stdin were sent without an acknowledgement", o.limit)
	}
	o.unacked = append(o.unacked, p...)
	o.sendAndUnlock(func(w *Writer) error { return w.WriteData(ChannelStdin, p) })
	return nil
}

func (o *outgoing) offerEOF(end EOF) Control {
	o.sending.Lock()
	defer o.sending.Unlock()
	o.mu.Lock()
	switch {
	case o.failed == nil:
		o.noteEnd(end)
		sent := o.end
		o.sendAndUnlock(func(w *Writer) error { return w.WriteControl(sent) })
		return nil
	case !isClosed(o.failed):
		defer o.mu.Unlock()
		return o.refusalLocked()
	}
	defer o.mu.Unlock()
	if end.Offset != nil && *end.Offset != o.accepted {
		e := errorf(CodeOffset, "stdin stands at %d, not at %d", o.accepted, *end.Offset)
		e.Offset = new(o.accepted)
		return e
	}
	return &StdinAck{Offset: o.accepted, EOF: true} // to close it again is not an error
}

// refusalLocked is what a client is told that offers stdin which is not taken; nil if
// it knows, or is just being told. The caller holds mu.
func (o *outgoing) refusalLocked() Control {
	switch {
	case errors.Is(o.failed, errNotWriter):
		return errorf(CodeInvalid, "a viewer must not send that")
	case isClosed(o.failed) && !o.told:
		o.told = true
		return &Error{Code: CodeClosed, Text: o.failed.Error(), Offset: new(o.accepted)}
	}
	return nil
}

func isClosed(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeClosed
}
