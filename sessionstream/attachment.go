package sessionstream

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"banger"
)

// The time between attempts to get a connection back doubles from one to the other.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// Config says what an Attachment is.
type Config struct {
	// Dial opens a connection to what serves the session now. It is called again
	// whenever a connection has broken. A *banger.Error with another code than
	// CodeUnavailable is final; so is every error of the first call.
	Dial func(ctx context.Context) (net.Conn, error)
	// Attach is the first control. The attachment keeps it up to date.
	Attach Attach
	// KeepLease has a writer send pings, which keep its lease. Without it somebody
	// else's pings are passed on.
	KeepLease bool
	// Sole says that nobody else has this AttachID now: who has taken the place of a
	// connection (CodeReplaced) was an earlier one of the same owner, whose attach was
	// late, and a further connection takes the place back.
	Sole bool
	// OnLost, if not nil, is called by Receive when a connection has broken and
	// before another one is sought.
	OnLost func(cause error)
}

// Attachment is a client's hold on a session, over as many connections as it
// takes: when one breaks, output continues at the next byte, and stdin that is not
// acknowledged is sent again. One goroutine must call Receive until it fails,
// since acknowledgements come with the output. The other methods are safe for
// concurrent use.
type Attachment struct {
	config   Config
	ctx      context.Context
	cancel   context.CancelCauseFunc
	attached Attached // of the first connection
	out      *outgoing
	pings    sync.WaitGroup

	// The rest belongs to whoever calls Receive.
	in      *inlet           // of the present connection
	output  banger.LogCursor // where the next byte of each stream belongs
	epoch   banger.Epoch     // of all positions; empty with a server that has none
	failed  error            // of the present connection, behind the frames that were received
	pending []Message        // to be received before anything that is read
	pinging bool
	over    error // what Receive returns for ever
}

// Message is what Receive returns: a control, or bytes of an output stream.
type Message struct {
	Control Control // nil with Data
	Stream  banger.Stream
	Offset  int64  // of the first byte in its stream
	Data    []byte // valid until the next call of Receive
}

// Open attaches to a session and returns when it has been accepted. When ctx ends,
// so does the attachment, as with Close.
func Open(ctx context.Context, c Config) (*Attachment, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &Attachment{config: c, ctx: ctx, cancel: cancel, out: newOutgoing(c.Attach)}
	context.AfterFunc(ctx, func() {
		a.out.close()
		a.out.fail(context.Cause(ctx))
	})
	attached, err := a.connect(true)
	if err != nil {
		cancel(err)
		return nil, err
	}
	a.attached = *attached
	return a, nil
}

// Attached returns the server's answer to the first connection.
func (a *Attachment) Attached() Attached { return a.attached }

// ErrClosed is why Receive and Write fail after Close.
var ErrClosed = errors.New("the attachment is closed")

// Close cuts the connection. What a writer holds stays reserved for another
// connection of its attachment as long as the lease lasts; see Detach.
func (a *Attachment) Close() error {
	a.cancel(ErrClosed)
	a.pings.Wait()
	return nil
}

// Receive returns the next message. Data come in the order of their stream, each
// byte once, over all connections. After an Exit, or the end that Detach asked
// for, it returns io.EOF. A refusal of the server is an *Error.
func (a *Attachment) Receive() (m Message, err error) {
	err = a.attempt(func() (err error) {
		m, err = a.receive()
		return err
	})
	return m, err
}

// ReceiveFrames is Receive for an owner that passes on what comes: it returns whole frames
// as they are on the wire, valid until the next call. A control that is not known here is
// among them; a refusal that ends the attachment is an *Error.
func (a *Attachment) ReceiveFrames() (frames []byte, err error) {
	err = a.attempt(func() (err error) {
		frames, err = a.receiveFrames()
		return err
	})
	return frames, err
}

// attempt calls receive, over as many connections as it takes, until that returns without
// an error.
func (a *Attachment) attempt(receive func() error) error {
	for a.over == nil {
		err := receive()
		if err == nil {
			return nil
		}
		if a.over == nil {
			a.over = a.recover(err)
		}
	}
	return a.over
}

// recover gets the connection back after err, or returns why not.
func (a *Attachment) recover(err error) error {
	a.out.close()
	refused, isError := errors.AsType[*Error](err)
	switch {
	case a.ctx.Err() != nil:
		return context.Cause(a.ctx)
	case a.out.isDetached():
		return io.EOF
	case isError && refused.Fatal() && !(a.config.Sole && refused.Code == CodeReplaced):
		a.out.fail(refused)
		return refused
	}
	if a.config.OnLost != nil {
		a.config.OnLost(err)
	}
	if _, err := a.connect(false); err != nil {
		a.out.fail(err)
		return err
	}
	return nil
}

// receive reads one message of the present connection.
func (a *Attachment) receive() (Message, error) {
	if len(a.pending) > 0 {
		m := a.pending[0]
		a.pending = a.pending[1:]
		return m, nil
	}
	channel, payload, err := a.in.next()
	if err != nil {
		return Message{}, err
	}
	if channel != ChannelControl {
		return a.data(channel, payload)
	}
	c, err := decodeControl(payload)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeUnsupported {
		return Message{Control: e}, nil // of a newer server, for whoever knows it
	}
	if err != nil {
		return Message{}, err
	}
	return Message{Control: c}, a.control(c)
}

// receiveFrames reads frames of the present connection.
func (a *Attachment) receiveFrames() (frames []byte, err error) {
	for _, m := range a.pending {
		if frames, err = AppendControl(frames, m.Control); err != nil {
			return nil, err
		}
	}
	a.pending = nil
	if err, a.failed = a.failed, nil; err != nil || len(frames) > 0 {
		return frames, err
	}
	frames, err = a.in.frames(a.passOn)
	if len(frames) > 0 {
		a.failed, err = err, nil
	}
	return frames, err
}

// passOn takes in a frame that is passed on.
func (a *Attachment) passOn(channel Channel, payload []byte) error {
	if a.over != nil {
		return a.over // what comes behind the exit
	}
	if channel != ChannelControl {
		_, err := a.data(channel, payload)
		return err
	}
	c, err := decodeControl(payload)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeUnsupported {
		return nil
	}
	if err != nil {
		return err
	}
	return a.control(c)
}

// data is a message with bytes of output.
func (a *Attachment) data(channel Channel, p []byte) (Message, error) {
	m := Message{Data: p}
	switch channel {
	case ChannelStdout:
		m.Stream, m.Offset = banger.StreamStdout, a.output.Stdout
	case ChannelStderr:
		m.Stream, m.Offset = banger.StreamStderr, a.output.Stderr
	default:
		return Message{}, errorf(CodeInvalid, "the server sent something on channel %d", channel)
	}
	a.output = a.output.Advance(banger.LogChunk{Stream: m.Stream, Offset: m.Offset, Data: p})
	return m, nil
}

// control takes in a control of the server.
func (a *Attachment) control(c Control) error {
	switch c := c.(type) {
	case *Gap:
		return a.skip(c)
	case *StdinAck:
		a.out.acknowledge(c.Offset, c.EOF)
	case *Granted:
		a.granted(c.Stdin)
	case *Evicted:
		a.out.evict(c)
	case *Exit:
		a.over = io.EOF
		a.out.close()
		a.out.fail(errorf(CodeClosed, "the session has ended"))
	case *Error:
		if c.Fatal() {
			return c
		}
		a.out.refused(c)
	case *Pong, *Live:
	default:
		return errorf(CodeInvalid, "the server sent %s", c.controlType())
	}
	return nil
}

// skip continues behind a gap, which begins where output stands.
func (a *Attachment) skip(g *Gap) error {
	at := &a.output.Stdout
	if g.Stream == banger.StreamStderr {
		at = &a.output.Stderr
	}
	if g.From != *at {
		return errorf(CodeInvalid, "the server reports a gap at %d of %s, which stands at %d", g.From, g.Stream, *at)
	}
	*at = g.To
	return nil
}

// connect dials until there is an accepted connection, or a final error.
func (a *Attachment) connect(first bool) (*Attached, error) {
	retry := firstRetry
	for {
		attached, err := a.tryConnect(first)
		if err == nil {
			return attached, nil
		}
		if a.ctx.Err() != nil {
			return nil, context.Cause(a.ctx)
		}
		if final, ok := errors.AsType[*finalError](err); ok {
			return nil, final.error
		}
		// Clients that were cut off together do not come back together.
		timer := time.NewTimer(retry/2 + rand.N(retry))
		select {
		case <-timer.C:
		case <-a.ctx.Done():
			timer.Stop()
		}
		retry = min(2*retry, lastRetry)
	}
}

// finalError is one that another attempt would not change.
type finalError struct{ error }

func (a *Attachment) tryConnect(first bool) (*Attached, error) {
	conn, err := a.config.Dial(a.ctx)
	if err == nil && a.ctx.Err() != nil { // nothing is sent any more: it might take somebody's place
		conn.Close()
		err = context.Cause(a.ctx)
	}
	if err != nil {
		e, ok := errors.AsType[*banger.Error](err)
		if first || ok && e.Code != banger.CodeUnavailable {
			return nil, &finalError{err}
		}
		return nil, err
	}
	stop := context.AfterFunc(a.ctx, func() { conn.Close() })
	defer stop()
	attached, err := a.greet(conn, first)
	if err != nil {
		conn.Close()
		refused, ok := errors.AsType[*Error](err)
		if ok && refused.Code == CodeInvalid && a.config.Attach.RawLine { // it is older, and does so anyway
			a.config.Attach.RawLine = false
			return a.tryConnect(first)
		}
		if ok && (first || refused.Code != CodeBusy) { // it may count our last connection
			return nil, &finalError{err}
		}
		return nil, err
	}
	return attached, nil
}

// greet attaches over a new connection and takes it into use.
func (a *Attachment) greet(conn net.Conn, first bool) (*Attached, error) {
	writer := NewWriter(conn)
	attach := a.config.Attach
	if !first {
		attach.Resume = true
		if !attach.NoOutput {
			attach.From, attach.Tail = new(a.output), nil
		}
		a.out.describe(&attach, a.epoch)
	}
	if err := writer.WriteControl(&attach); err != nil {
		return nil, err
	}
	var memory []byte
	if a.in != nil {
		memory = a.in.buf
	}
	in, err := newInlet(conn, memory)
	if err != nil {
		return nil, err
	}
	c, err := in.control()
	if err != nil {
		return nil, err
	}
	attached, ok := c.(*Attached)
	if refused, isError := c.(*Error); isError {
		return nil, refused
	}
	if !ok {
		return nil, errorf(CodeInvalid, "the server's first control is %s", c.controlType())
	}
	if err := a.takeUp(attach, attached, first); err != nil {
		return nil, err
	}
	a.in, a.failed = in, nil
	a.out.open(conn, writer)
	return attached, nil
}

// takeUp compares the server's answer with what was asked for.
func (a *Attachment) takeUp(asked Attach, got *Attached, first bool) error {
	if !asked.NoOutput {
		if got.Output == nil || asked.From != nil && (got.Output.Stdout != asked.From.Stdout || got.Output.Stderr != asked.From.Stderr) {
			return errorf(CodeInvalid, "the server does not begin its output at %v", asked.From)
		}
		a.output = *got.Output
	}
	a.epoch = a.output.Epoch
	if got.Stdin != nil {
		a.epoch = got.Stdin.Epoch
	}
	if asked.Role != RoleWriter {
		return nil
	}
	if got.Stdin == nil {
		if first && !asked.Resume {
			return errorf(CodeInvalid, "the server grants no stdin")
		}
		a.out.evict(&Evicted{}) // an Evicted follows, which says by whom
		return nil
	}
	if first {
		a.granted(*got.Stdin)
		return nil
	}
	lost, err := a.out.regrant(*got.Stdin)
	if err != nil {
		return err
	}
	var told Control = &StdinAck{Offset: got.Stdin.Offset, EOF: got.Stdin.EOF} // the last one may have been lost
	if lost {
		told = &Evicted{}
	}
	a.pending = append(a.pending, Message{Control: told})
	return nil
}

// granted makes this attachment the writer.
func (a *Attachment) granted(g Grant) {
	a.out.grant(g)
	if a.config.KeepLease && !a.pinging {
		a.pinging = true
		a.pings.Go(func() { a.keepLease(time.Duration(g.LeaseMS) * time.Millisecond) })
	}
}

// minLease is the shortest lease that is kept: a shorter one would be a flood of pings.
const minLease = time.Second

// keepLease sends pings, several in the time that the lease lasts.
func (a *Attachment) keepLease(lease time.Duration) {
	ticker := time.NewTicker(max(lease, minLease) / 5)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = a.Ping() // fails while there is no connection
		case <-a.ctx.Done():
			return
		}
	}
}

// Ping passes on a sign of life. It fails with ErrNoConnection.
func (a *Attachment) Ping() error { return a.out.send(&Ping{}) }

// ErrNoConnection says that there is none at the moment, and that nothing was sent.
var ErrNoConnection = errors.New("not connected to the session")

// Signal sends a signal, at most once: if the connection breaks meanwhile,
// whether it arrived is not known. Without a connection it fails with
// ErrNoConnection.
func (a *Attachment) Signal(name string, to SignalTarget) error {
	return a.SignalOnce(Signal{Signal: name, To: to})
}

// SignalOnce is Signal with an id: a second one with the same does nothing, but for a
// server of revision 1, which gets no id.
func (a *Attachment) SignalOnce(s Signal) error {
	if a.attached.Revision < 2 {
		s.ID = ""
	}
	return a.out.send(&s)
}

// Resize sets the size of the session's terminal, now or with the next connection.
func (a *Attachment) Resize(w Window) { a.out.resize(w) }

// Takeover makes a viewer the writer: Receive returns a Granted. If the
// connection breaks before that, it is asked for again. A writer stays one, and
// Receive returns nothing.
func (a *Attachment) Takeover(t Takeover) { a.out.ask(t) }

// Detach ends the attachment in order, so that what it holds is free at once.
// Receive then returns what is left and io.EOF. Without a connection it is as Close.
func (a *Attachment) Detach() {
	if a.out.detach() != nil {
		a.cancel(io.EOF)
	}
}

// Write feeds stdin. It returns when p is on its way, which does not mean that it
// is accepted: StdinAck messages tell. It blocks while the server's window is full.
// It fails when stdin takes no more: closed, taken over, or the end of it all.
func (a *Attachment) Write(p []byte) (int, error) {
	return a.out.write(p)
}

// Unaccepted returns how many bytes were written that the session is not known to
// have accepted, since this attachment became the writer. After the attachment has
// ended they may have been accepted or not, unless an *Error with CodeClosed has told.
func (a *Attachment) Unaccepted() int { return a.out.unaccepted() }

// CloseStdin sends the end of stdin behind all that was written.
func (a *Attachment) CloseStdin() error { return a.out.closeStdin() }
