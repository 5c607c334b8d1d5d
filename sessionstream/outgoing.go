package sessionstream

import (
	"bytes"
	"errors"
	"net"
	"sync"

	"banger"
)

// maxSent bounds a frame of stdin: a writer that is cut within it has the less to
// send again.
const maxSent = 32 << 10

// outgoing is what an attachment sends: over the present connection if there is
// one, and stdin again over the next if it was not acknowledged. Safe for
// concurrent use.
type outgoing struct {
	sending sync.Mutex // held while something is sent, so that stdin goes in its order

	mu       sync.Mutex // guards everything below
	room     *sync.Cond // of mu: there is room in the window, or stdin has failed
	conn     net.Conn   // nil while there is none
	writer   *Writer    // of conn
	detached bool
	window   *Window // of the terminal, as last set

	granted  bool      // this is the writer
	grants   int       // how many times it has become that
	takeover *Takeover // asked for and not granted yet
	limit    int64     // bytes that may wait for their acknowledgement
	accepted int64     // the position of unacked in stdin
	unacked  []byte    // written, and not known to be accepted
	end      *EOF      // the end of stdin: asked for, and not answered yet
	endAt    int64     // where it stands between the bytes of unacked
	failed   error     // why stdin takes no more
	told     bool      // of CodeClosed: whoever offers stdin has been told
	dropped  int       // bytes that were unacked then
}

var errNotWriter = errors.New("cannot write to stdin: this attachment is not the writer")

func newOutgoing(a Attach) *outgoing {
	o := &outgoing{window: a.Window, failed: errNotWriter}
	o.room = sync.NewCond(&o.mu)
	return o
}

// open takes a connection into use whose Attach has been accepted, and sends what
// the last one may not have delivered.
func (o *outgoing) open(conn net.Conn, w *Writer) {
	o.sending.Lock()
	defer o.sending.Unlock()
	o.mu.Lock()
	o.conn, o.writer = conn, w
	rest, behind, end, takeover := bytes.Clone(o.unacked), []byte(nil), o.end, o.takeover
	if end != nil {
		at := o.endAt - o.accepted
		rest, behind = rest[:at], rest[at:]
	}
	o.mu.Unlock()
	err := w.WriteData(ChannelStdin, rest)
	if end != nil && err == nil {
		err = w.WriteControl(end)
	}
	if err == nil {
		err = w.WriteData(ChannelStdin, behind)
	}
	if takeover != nil && err == nil {
		err = w.WriteControl(takeover)
	}
	_ = o.sent(w, err) // else the next connection does
}

// position is that of the next byte that is written. The caller holds mu.
func (o *outgoing) position() int64 { return o.accepted + int64(len(o.unacked)) }

// close ends the present connection.
func (o *outgoing) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn != nil {
		o.conn.Close()
	}
	o.conn, o.writer = nil, nil
}

// present returns the present connection's writer, nil if there is none.
func (o *outgoing) present() *Writer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writer
}

// send sends a control over the present connection.
func (o *outgoing) send(c Control) error {
	o.sending.Lock()
	defer o.sending.Unlock()
	w := o.present()
	if w == nil {
		return ErrNoConnection
	}
	return o.sent(w, w.WriteControl(c))
}

// sent ends the sending side of a connection that failed to send, so that Receive seeks
// another when this one ends. What has come over it by then is still received: the
// session may have ended, and its exit is not told twice.
func (o *outgoing) sent(w *Writer, err error) error {
	if err == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writer != w {
		return err
	}
	if half, ok := o.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // for a server that is still there
	} else {
		o.conn.Close()
	}
	return err
}

func (o *outgoing) detach() error {
	o.mu.Lock()
	o.detached = true
	o.mu.Unlock()
	return o.send(&Detach{})
}

func (o *outgoing) isDetached() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.detached
}

func (o *outgoing) resize(w Window) {
	o.mu.Lock()
	o.window = &w
	o.mu.Unlock()
	_ = o.send(&Resize{Window: w}) // else the next connection begins with it
}

// describe completes the Attach of a further connection.
func (o *outgoing) describe(a *Attach, epoch banger.Epoch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a.Role, a.Window, a.Stdin = RoleViewer, nil, nil
	if o.granted {
		a.Role, a.Window = RoleWriter, o.window
	}
	if o.granted && epoch != "" { // an older server does not know it
		a.Stdin = &StdinPosition{Epoch: epoch, Offset: o.accepted}
	}
}

// ask wants this attachment to be the writer.
func (o *outgoing) ask(t Takeover) {
	o.mu.Lock()
	granted := o.granted
	if !granted {
		o.takeover = &t
		if t.Window != nil {
			o.window = t.Window
		}
	}
	o.mu.Unlock()
	switch {
	case !granted:
		_ = o.send(&t) // else the next connection does
	case t.Window != nil:
		o.resize(*t.Window)
	}
}

// grant makes this attachment the writer.
func (o *outgoing) grant(g Grant) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.granted, o.takeover, o.failed = true, nil, nil
	o.grants++
	o.dropped, o.told = 0, false
	o.limit, o.accepted, o.unacked, o.end = g.WindowBytes, g.Offset, nil, nil
	if g.EOF {
		o.failLocked(errorf(CodeClosed, "stdin is closed"))
	}
}

// regrant takes in what a further connection says of stdin. lost reports that
// somebody else has written to it, and it takes no more.
func (o *outgoing) regrant(g Grant) (lost bool, err error) {
	o.mu.Lock()
	from, limit, failed := o.accepted, o.position(), o.failed
	o.limit = g.WindowBytes
	o.mu.Unlock()
	switch {
	case g.Offset > limit && failed == nil && g.EOF:
		o.evict(&Evicted{})
		return true, nil
	case g.Offset < from, g.Offset > limit && failed == nil:
		return false, errorf(CodeInvalid, "the server has accepted %d bytes of stdin, which is not between %d and %d", g.Offset, from, limit)
	}
	o.acknowledge(g.Offset, g.EOF)
	return false, nil
}

// acknowledge forgets what has been accepted.
func (o *outgoing) acknowledge(offset int64, eof bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := min(offset-o.accepted, int64(len(o.unacked))); n > 0 {
		o.unacked = append(o.unacked[:0], o.unacked[n:]...)
		o.accepted += n
	}
	if o.end != nil && o.accepted > o.endAt {
		o.end = nil // it was refused, since stdin has gone on
	}
	if eof {
		o.failLocked(errorf(CodeClosed, "stdin is closed"))
	}
	o.room.Broadcast()
}

// fail ends the feeding of stdin.
func (o *outgoing) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failLocked(err)
}

func (o *outgoing) failLocked(err error) {
	if o.failed == nil {
		o.failed = err
	}
	o.dropped += len(o.unacked)
	o.unacked, o.end = nil, nil
	o.room.Broadcast()
}

// refused takes in that something was refused: stdin, or the end of it only.
func (o *outgoing) refused(e *Error) {
	if e.Offset != nil {
		o.acknowledge(*e.Offset, false)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case e.Code == CodeClosed:
		o.told = true
		o.failLocked(e)
	case e.Offset != nil: // of the end of stdin only: a signal has none
		o.end = nil
	}
}

// unaccepted counts the bytes that were written under this grant and are not known
// to be accepted.
func (o *outgoing) unaccepted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.unacked) + o.dropped
}

// evict makes this attachment a viewer.
func (o *outgoing) evict(e *Evicted) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.granted = false
	o.failed = nil
	o.failLocked(e.Err())
}

// write ends with the grant under which it began: a part of p that comes after a
// time in which somebody else has written makes no sense to the command.
func (o *outgoing) write(p []byte) (written int, err error) {
	o.mu.Lock()
	grant := o.grants
	o.mu.Unlock()
	for len(p) > 0 {
		// Nothing else is held up while there is no room: neither a signal nor the
		// next connection, which may bring the acknowledgements.
		if err := o.awaitRoom(grant); err != nil {
			return written, err
		}
		n := o.sendPart(grant, p)
		written, p = written+n, p[n:]
	}
	return written, nil
}

func (o *outgoing) awaitRoom(grant int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.failed == nil && o.end == nil && o.grants == grant && int64(len(o.unacked)) >= o.limit {
		o.room.Wait()
	}
	switch {
	case o.grants != grant:
		return errorf(CodeEvicted, "stdin was taken over by somebody else meanwhile")
	case o.end != nil:
		return errorf(CodeClosed, "the end of stdin has been sent")
	}
	return o.failed
}

// sendPart sends what fits now, which is nothing if another writer was faster.
func (o *outgoing) sendPart(grant int, p []byte) int {
	o.sending.Lock()
	defer o.sending.Unlock()
	o.mu.Lock()
	n := min(int64(len(p)), maxSent, o.limit-int64(len(o.unacked)))
	if o.failed != nil || o.end != nil || o.grants != grant || n <= 0 {
		o.mu.Unlock()
		return 0
	}
	o.unacked = append(o.unacked, p[:n]...)
	o.sendAndUnlock(func(w *Writer) error { return w.WriteData(ChannelStdin, p[:n]) })
	return int(n)
}

// sendAndUnlock sends a part of stdin that has been noted, over the present connection
// if there is one: else the next does. The caller holds sending, and mu, which is free
// while it is sent.
func (o *outgoing) sendAndUnlock(send func(*Writer) error) {
	w := o.writer
	o.mu.Unlock()
	if w != nil {
		_ = o.sent(w, send(w))
	}
}

func (o *outgoing) closeStdin() error {
	o.sending.Lock()
	defer o.sending.Unlock()
	o.mu.Lock()
	if o.failed != nil {
		defer o.mu.Unlock()
		return o.failed
	}
	o.noteEnd(EOF{})
	end := o.end
	o.sendAndUnlock(func(w *Writer) error { return w.WriteControl(end) })
	return nil
}

// noteEnd notes that stdin ends behind what was written. The caller holds mu.
func (o *outgoing) noteEnd(end EOF) {
	o.endAt = o.position()
	if end.Offset == nil {
		end.Offset = new(o.endAt) // the next connection must not take it for another place
	}
	o.end = &end
}
