package sessionstream

import (
	"errors"
	"sync"
)

// maxSent bounds a frame of stdin: a writer that is cut within it has the less to
// send again.
const maxSent = 32 << 10

// stdin is an attachment's feeding of the session's stdin. What was not acknowledged over
// one connection is sent again over the next. Safe for concurrent use.
//
// What is sent is noted first, and both with link.sending held: so no other part of stdin,
// and no connection that sends all again, comes in between.
type stdin struct {
	link *link

	mu      sync.Mutex // guards everything below; taken behind link.sending
	room    *sync.Cond // of mu: there is room in the window, or stdin has failed
	grants  int        // how many times this attachment has become the writer
	unacked unacked
	failed  error // why stdin takes no more
	told    bool  // of CodeClosed: whoever offers stdin has been told
	dropped int   // bytes that were unacked then
}

var errNotWriter = errors.New("cannot write to stdin: this attachment is not the writer")

func newStdin(l *link) *stdin {
	s := &stdin{link: l, failed: errNotWriter}
	s.room = sync.NewCond(&s.mu)
	return s
}

// again returns what the last connection may not have delivered, as unacked.again does.
func (s *stdin) again() (before []byte, end *EOF, behind []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unacked.again()
}

// accepted is the position up to which stdin is known to be accepted.
func (s *stdin) accepted() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unacked.from
}

// grant begins where the server says.
func (s *stdin) grant(g Grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants++
	s.failed, s.dropped, s.told = nil, 0, false
	s.unacked = unacked{limit: g.WindowBytes, from: g.Offset}
	if g.EOF {
		s.failLocked(errorf(CodeClosed, "stdin is closed"))
	}
}

// regrant takes in what a further connection says of stdin. lost reports that
// somebody else has written to it.
func (s *stdin) regrant(g Grant) (lost bool, err error) {
	s.mu.Lock()
	from, limit, failed := s.unacked.from, s.unacked.position(), s.failed
	s.unacked.limit = g.WindowBytes
	s.mu.Unlock()
	switch {
	case g.Offset > limit && failed == nil && g.EOF:
		return true, nil
	case g.Offset < from, g.Offset > limit && failed == nil:
		return false, errorf(CodeInvalid, "the server has accepted %d bytes of stdin, which is not between %d and %d", g.Offset, from, limit)
	}
	s.acknowledge(g.Offset, g.EOF)
	return false, nil
}

// acknowledge forgets what has been accepted.
func (s *stdin) acknowledge(offset int64, eof bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unacked.accept(offset)
	if eof {
		s.failLocked(errorf(CodeClosed, "stdin is closed"))
	}
	s.room.Broadcast()
}

// fail ends the feeding of stdin. The first reason stays.
func (s *stdin) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *stdin) failLocked(err error) {
	if s.failed == nil {
		s.failed = err
	}
	s.dropped += s.unacked.drop()
	s.room.Broadcast()
}

// evict ends the feeding of stdin for a reason that stands above any other.
func (s *stdin) evict(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = nil
	s.failLocked(err)
}

// refused takes in that something was refused: stdin, or the end of it only.
func (s *stdin) refused(e *Error) {
	if e.Offset != nil {
		s.acknowledge(*e.Offset, false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Code == CodeClosed:
		s.told = true
		s.failLocked(e)
	case e.Offset != nil: // of the end of stdin only: a signal has none
		s.unacked.end = nil
	}
}

// unaccepted counts the bytes that were written under this grant and are not known
// to be accepted.
func (s *stdin) unaccepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unacked.data) + s.dropped
}

// write ends with the grant under which it began: a part of p that comes after a
// time in which somebody else has written makes no sense to the command.
func (s *stdin) write(p []byte) (written int, err error) {
	s.mu.Lock()
	grant := s.grants
	s.mu.Unlock()
	for len(p) > 0 {
		// Nothing else is held up while there is no room: neither a signal nor the
		// next connection, which may bring the acknowledgements.
		if err := s.awaitRoom(grant); err != nil {
			return written, err
		}
		n := s.sendPart(grant, p)
		written, p = written+n, p[n:]
	}
	return written, nil
}

func (s *stdin) awaitRoom(grant int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && s.unacked.end == nil && s.grants == grant && s.unacked.room() <= 0 {
		s.room.Wait()
	}
	switch {
	case s.grants != grant:
		return errorf(CodeEvicted, "stdin was taken over by somebody else meanwhile")
	case s.unacked.end != nil:
		return errorf(CodeClosed, "the end of stdin has been sent")
	}
	return s.failed
}

// sendPart sends what fits now, which is nothing if another writer was faster.
func (s *stdin) sendPart(grant int, p []byte) int {
	s.link.sending.Lock()
	defer s.link.sending.Unlock()
	s.mu.Lock()
	n := min(int64(len(p)), maxSent, s.unacked.room())
	if s.failed != nil || s.unacked.end != nil || s.grants != grant || n <= 0 {
		s.mu.Unlock()
		return 0
	}
	s.unacked.add(p[:n])
	s.sendAndUnlock(func(w *Writer) error { return w.WriteData(ChannelStdin, p[:n]) })
	return int(n)
}

// sendAndUnlock sends a part of stdin that has been noted, over the present connection
// if there is one: else the next does. The caller holds sending, and mu, which is free
// while it is sent.
func (s *stdin) sendAndUnlock(send func(*Writer) error) {
	s.mu.Unlock()
	_ = s.link.pass(send)
}

// close sends the end of stdin behind all that was written.
func (s *stdin) close() error {
	s.link.sending.Lock()
	defer s.link.sending.Unlock()
	s.mu.Lock()
	if s.failed != nil {
		defer s.mu.Unlock()
		return s.failed
	}
	s.finishAndUnlock(EOF{})
	return nil
}

// finishAndUnlock is sendAndUnlock for the end of stdin.
func (s *stdin) finishAndUnlock(end EOF) {
	s.unacked.finish(end)
	sent := s.unacked.end
	s.sendAndUnlock(func(w *Writer) error { return w.WriteControl(sent) })
}
