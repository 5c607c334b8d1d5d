package sessionstream

import (
	"context"
	"errors"
	"io"
	"net"

	"banger"
)

// Config says what an Attachment is.
type Config struct {
	// Dial opens a connection to what serves the session now. It is called again
	// whenever a connection has broken. A *banger.Error with another code than
	// CodeUnavailable is final; so is every error of the first call.
	Dial func(ctx context.Context) (net.Conn, error)
	// DialFirst, if not nil, is called instead of Dial until there has been an answer. It
	// opens a connection and sends opening on it, behind whatever else opens it, so that
	// both are one round trip.
	DialFirst func(ctx context.Context, opening []byte) (net.Conn, error)
	// Attach is the first control. The attachment keeps it up to date.
	Attach Attach
	// KeepLease has a writer send pings, which keep its lease. Without it somebody
	// else's pings are passed on.
	KeepLease bool
	// Sole says that nobody else has this AttachID now: who has taken the place of a
	// connection (CodeReplaced) was an earlier one of the same owner, whose attach was
	// late, and a further connection takes the place back.
	Sole bool
	// OnAttached, if not nil, is called once, with the server's answer to the first
	// connection, before Open returns.
	OnAttached func(Attached)
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
	ctx      context.Context
	cancel   context.CancelCauseFunc
	sole     bool              // as in Config
	onLost   func(cause error) // as in Config
	attached Attached          // of the first connection
	out      *outgoing
	lease    *lease

	// The rest belongs to whoever calls Receive.
	in        *incoming
	connector *connector
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
	a := &Attachment{ctx: ctx, cancel: cancel, sole: c.Sole, onLost: c.OnLost, out: newOutgoing(c.Attach)}
	a.lease = &lease{kept: c.KeepLease, link: a.out.link, released: ctx.Done()}
	a.in = &incoming{out: a.out, lease: a.lease}
	a.connector = &connector{dial: c.Dial, dialFirst: c.DialFirst, attach: c.Attach, in: a.in, out: a.out}
	context.AfterFunc(ctx, a.endSending)
	attached, err := a.connector.connect(ctx, true)
	if err != nil {
		cancel(err)
		return nil, err
	}
	a.attached = *attached
	if c.OnAttached != nil {
		c.OnAttached(a.attached)
	}
	return a, nil
}

// Attached returns the server's answer to the first connection.
func (a *Attachment) Attached() Attached { return a.attached }

// ErrClosed is why Receive and Write fail after Close.
var ErrClosed = errors.New("the attachment is closed")

// Close cuts the connection. What a writer holds stays reserved for another
// connection of its attachment as long as the lease lasts; see Detach. No Write that begins
// later takes anything.
func (a *Attachment) Close() error {
	a.end(ErrClosed)
	a.lease.wait()
	return nil
}

// end ends the attachment. What is written behind it fails: it is kept by whoever has it,
// who would take it for sent otherwise.
func (a *Attachment) end(err error) {
	a.cancel(err)
	a.endSending()
}

// endSending has the attachment, which has ended, take no more.
func (a *Attachment) endSending() { a.out.end(context.Cause(a.ctx)) }

// Receive returns the next message. Data come in the order of their stream, each
// byte once, over all connections. After an Exit, or the end that Detach asked
// for, it returns io.EOF. A refusal of the server is an *Error.
func (a *Attachment) Receive() (m Message, err error) {
	err = a.attempt(func() (err error) {
		m, err = a.in.receive()
		return err
	})
	return m, err
}

// ReceiveFrames is Receive for an owner that passes on what comes: it returns whole frames
// as they are on the wire, valid until the next call. A control that is not known here is
// among them; a refusal that ends the attachment is an *Error.
func (a *Attachment) ReceiveFrames() (frames []byte, err error) {
	err = a.attempt(func() (err error) {
		frames, err = a.in.receiveFrames()
		return err
	})
	return frames, err
}

// attempt calls receive, over as many connections as it takes, until that returns without
// an error.
func (a *Attachment) attempt(receive func() error) error {
	for a.in.over == nil {
		err := receive()
		if err == nil {
			return nil
		}
		if a.in.over == nil {
			a.in.over = a.recover(err)
		}
	}
	return a.in.over
}

// recover gets the connection back after err, or returns why not.
func (a *Attachment) recover(err error) error {
	a.out.link.close()
	refused, isError := errors.AsType[*Error](err)
	switch {
	case a.ctx.Err() != nil:
		return context.Cause(a.ctx)
	case a.out.isDetached():
		return io.EOF
	case isError && refused.Fatal() && !(a.sole && refused.Code == CodeReplaced):
		a.out.stdin.fail(refused)
		return refused
	}
	if a.onLost != nil {
		a.onLost(err)
	}
	if _, err := a.connector.connect(a.ctx, false); err != nil {
		a.out.stdin.fail(err)
		return err
	}
	return nil
}

// Ping passes on a sign of life. It fails with ErrNoConnection.
func (a *Attachment) Ping() error { return a.out.link.send(&Ping{}) }

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
	return a.out.link.send(&s)
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
		a.end(io.EOF)
	}
}

// Write feeds stdin. It returns when p is on its way, which does not mean that it
// is accepted: StdinAck messages tell. It blocks while the server's window is full.
// It fails when stdin takes no more: closed, taken over, or the end of it all.
func (a *Attachment) Write(p []byte) (int, error) {
	return a.out.stdin.write(p)
}

// Unaccepted returns how many bytes were written that the session is not known to
// have accepted, since this attachment became the writer. After the attachment has
// ended they may have been accepted or not, unless an *Error with CodeClosed has told.
func (a *Attachment) Unaccepted() int { return a.out.stdin.unaccepted() }

// CloseStdin sends the end of stdin behind all that was written.
func (a *Attachment) CloseStdin() error { return a.out.stdin.close() }
