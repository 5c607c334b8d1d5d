package sessionstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"banger"
)

// The time between attempts to get a connection back doubles from one to the other.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// connector gets an attachment its connections: the first, and another when one has
// broken. It belongs to whoever calls Receive.
type connector struct {
	dial      func(context.Context) (net.Conn, error)
	dialFirst func(context.Context, []byte) (net.Conn, error) // as in Config
	attach    Attach                                          // of the first connection; what a server does not know is taken out
	epoch     banger.Epoch                                    // of all positions; empty with a server that has none
	in        *incoming
	out       *outgoing
}

// connect dials until there is an accepted connection, or a final error.
func (c *connector) connect(ctx context.Context, first bool) (*Attached, error) {
	retry := firstRetry
	for {
		attached, err := c.tryConnect(ctx, first)
		if err == nil {
			return attached, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if final, ok := errors.AsType[*finalError](err); ok {
			return nil, final.error
		}
		// Clients that were cut off together do not come back together.
		timer := time.NewTimer(retry/2 + rand.N(retry))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		retry = min(2*retry, lastRetry)
	}
}

// finalError is one that another attempt would not change.
type finalError struct{ error }

func (c *connector) tryConnect(ctx context.Context, first bool) (*Attached, error) {
	conn, writer, err := c.open(ctx, first)
	if err == nil && ctx.Err() != nil { // nothing is sent any more: it might take somebody's place
		conn.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		e, ok := errors.AsType[*banger.Error](err)
		if first || ok && e.Code != banger.CodeUnavailable {
			return nil, &finalError{err}
		}
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	attached, err := c.greet(conn, writer, first)
	if err != nil {
		conn.Close()
		refused, ok := errors.AsType[*Error](err)
		if ok && refused.Code == CodeInvalid && c.attach.RawLine { // it is older, and does so anyway
			c.attach.RawLine = false
			return c.tryConnect(ctx, first)
		}
		if ok && (first || refused.Code != CodeBusy) { // it may count our last connection
			return nil, &finalError{err}
		}
		return nil, err
	}
	return attached, nil
}

// open opens a connection. The writer is nil if nothing was sent on it.
func (c *connector) open(ctx context.Context, first bool) (net.Conn, *Writer, error) {
	if !first || c.dialFirst == nil {
		conn, err := c.dial(ctx)
		return conn, nil, err
	}
	opening, err := AppendControl([]byte(preamble), &c.attach)
	if err != nil {
		return nil, nil, &finalError{err}
	}
	conn, err := c.dialFirst(ctx, opening)
	return conn, &Writer{w: conn}, err
}

// greet attaches over a new connection and takes it into use. writer is not nil if the
// attach was sent.
func (c *connector) greet(conn net.Conn, writer *Writer, first bool) (*Attached, error) {
	attach := c.attach
	if !first {
		attach.Resume = true
		if !attach.NoOutput {
			attach.From, attach.Tail = new(c.in.output.at), nil
		}
		c.out.describe(&attach, c.epoch)
	}
	if writer == nil {
		writer = NewWriter(conn)
		if err := writer.WriteControl(&attach); err != nil {
			return nil, err
		}
	}
	var memory []byte
	if c.in.inlet != nil {
		memory = c.in.inlet.buf
	}
	in, err := newInlet(conn, memory)
	if err != nil {
		return nil, err
	}
	answer, err := in.control()
	if err != nil {
		return nil, err
	}
	attached, ok := answer.(*Attached)
	if refused, isError := answer.(*Error); isError {
		return nil, refused
	}
	if !ok {
		return nil, errorf(CodeInvalid, "the server's first control is %s", answer.controlType())
	}
	if err := c.takeUp(&attach, attached, first); err != nil {
		return nil, err
	}
	c.in.follow(in)
	c.out.open(conn, writer)
	return attached, nil
}

// takeUp compares the server's answer with what was asked for.
func (c *connector) takeUp(asked *Attach, got *Attached, first bool) error {
	if err := c.in.output.takeUp(asked, got); err != nil {
		return err
	}
	c.epoch = c.in.output.at.Epoch
	if got.Stdin != nil {
		c.epoch = got.Stdin.Epoch
	}
	if asked.Role != RoleWriter {
		return nil
	}
	if got.Stdin == nil {
		if first && !asked.Resume {
			return errorf(CodeInvalid, "the server grants no stdin")
		}
		c.out.evict(&Evicted{}) // an Evicted follows, which says by whom
		return nil
	}
	if first {
		c.in.granted(*got.Stdin)
		return nil
	}
	lost, err := c.out.regrant(*got.Stdin)
	if err != nil {
		return err
	}
	var told Control = &StdinAck{Offset: got.Stdin.Offset, EOF: got.Stdin.EOF} // the last one may have been lost
	if lost {
		told = &Evicted{}
	}
	c.in.pending = append(c.in.pending, Message{Control: told})
	return nil
}
