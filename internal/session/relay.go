package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"banger"
	"banger/sessionstream"
)

const (
	relayBytes = 32 << 10
	// firstControl is how long a client may take to say what it wants.
	firstControl = 10 * time.Second
	// farewell is how long a client may take to read why it is ended.
	farewell = time.Second
)

// relay serves one client of a session's streams. Towards the session it is an
// attachment, which outlives broken links; the client notices none of them.
type relay struct {
	client net.Conn
	reader *sessionstream.Reader
	writer *sessionstream.Writer
	of     banger.Session

	// Set before run.
	dial func(context.Context) (net.Conn, error)
	// enter checks the positions of an attach, and returns the epoch in which it is served.
	enter func(*sessionstream.Attach) (held, error)
	// admit refuses a new attachment, nil lets it in.
	admit func() *sessionstream.Error
	// sit makes this the one connection of an attachment, until it is ended with the
	// reason for that, or leaves.
	sit   func(attachID string, end context.CancelCauseFunc) *sessionstream.Error
	leave func(attachID string)

	held    held                      // by the client; its epoch is that of the connection
	opened  chan struct{}             // closed when session is set
	session *sessionstream.Attachment // towards the session
}

func newRelay(client net.Conn, of banger.Session) *relay {
	return &relay{
		client: client, of: of, opened: make(chan struct{}),
		reader: sessionstream.NewReader(bufio.NewReaderSize(client, relayBytes)), writer: sessionstream.NewWriter(client),
	}
}

// run serves the client until one side ends. The end of ctx cuts both, so that
// what a writer holds stays reserved for it; that of the client ends the
// attachment in order: a unix socket does not break while its client lives.
func (r *relay) run(ctx context.Context) error {
	attach, err := r.readAttach()
	if err != nil {
		return r.refuse(ctx, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if refused := r.sit(attach.AttachID, cancel); refused != nil {
		return r.refuse(ctx, refused)
	}
	defer r.leave(attach.AttachID)
	if r.held, err = r.enter(attach); err != nil {
		return r.refuse(ctx, err)
	}
	hurry := context.AfterFunc(ctx, func() { r.client.SetWriteDeadline(time.Now().Add(farewell)) })
	defer hurry()
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel(nil)
	defer r.client.Close() // ends the reading
	reading.Go(func() { r.fromClient(cancel) })

	// The seat is this relay's, so whoever takes its place with the session is an
	// earlier connection of its attachment that was late.
	r.session, err = sessionstream.Open(ctx, sessionstream.Config{Dial: r.dial, Attach: *attach, Sole: true})
	if err != nil {
		return r.refuse(ctx, err)
	}
	defer r.session.Close()
	attached := r.session.Attached()
	if attach.Resume && attached.Stdin != nil && r.held.past(attached.Stdin.Offset) {
		r.session.Detach()
		return r.refuse(ctx, r.held.stale())
	}
	attached.VMID, attached.SessionID, attached.AttachID = r.of.VMID, r.of.ID, attach.AttachID
	if attached.Output != nil {
		attached.Output.Epoch = r.held.epoch
	}
	if attached.Stdin != nil {
		attached.Stdin.Epoch = r.held.epoch
	}
	if err := r.writer.WriteControl(&attached); err != nil {
		r.session.Detach()
		return err
	}
	close(r.opened)
	return r.toClient(ctx)
}

func (r *relay) readAttach() (*sessionstream.Attach, error) {
	r.client.SetReadDeadline(time.Now().Add(firstControl))
	c, err := r.reader.ReadControl()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &sessionstream.Error{Code: sessionstream.CodeInvalid, Text: fmt.Sprintf("no attach has come within %s", firstControl)}
	}
	if err != nil {
		return nil, err
	}
	r.client.SetReadDeadline(time.Time{})
	attach, ok := c.(*sessionstream.Attach)
	switch {
	case !ok:
		return nil, &sessionstream.Error{Code: sessionstream.CodeInvalid, Text: "the first control is not attach"}
	case attach.Role == sessionstream.RoleObserver:
		return nil, &sessionstream.Error{Code: sessionstream.CodeUnsupported, Text: "the daemon serves viewers and writers; it has events for observers"}
	case attach.AttachID == "":
		attach.AttachID = string(banger.NewSessionID())
	}
	if !attach.Resume {
		if refused := r.admit(); refused != nil {
			return nil, refused
		}
	}
	return attach, nil
}

// refuse tells the client why it gets nothing more. One whose daemon ends is not
// told: it continues with the next. Nor is one whose VM has moved to another epoch: it comes
// back with its positions, and these are checked.
func (r *relay) refuse(ctx context.Context, err error) error {
	reason, told := errors.AsType[*sessionstream.Error](context.Cause(ctx))
	if told {
		err = reason
	}
	if told || ctx.Err() == nil && !errors.Is(err, io.EOF) && !isMoved(err) {
		_ = r.writer.WriteControl(refusal(err))
	}
	return err
}

// toClient passes on what the session sends. A client that does not read is
// waited for, by nobody else.
func (r *relay) toClient(ctx context.Context) error {
	for {
		frames, err := r.session.ReceiveFrames()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return r.refuse(ctx, err)
		}
		if err := r.writer.WriteFrames(frames); err != nil {
			r.session.Detach()
			return fmt.Errorf("the client has gone: %w", err)
		}
	}
}

// fromClient passes on what the client sends, until it sends no more. A client
// that goes before the session is reached ends the search for it.
func (r *relay) fromClient(cancel context.CancelCauseFunc) {
	buffer := make([]byte, relayBytes)
	for {
		h, err := r.reader.Next()
		if err == nil {
			<-r.opened
			err = r.pass(h, buffer)
		}
		if err == nil {
			continue
		}
		select {
		case <-r.opened:
			if refused, ok := errors.AsType[*sessionstream.Error](err); ok {
				if refused.Fatal() {
					r.client.SetWriteDeadline(time.Now().Add(farewell))
				}
				_ = r.writer.WriteControl(refused)
				if !refused.Fatal() {
					continue
				}
			}
			r.session.Detach()
		default:
			cancel(fmt.Errorf("the client has gone: %w", err))
		}
		return
	}
}

// pass passes one frame on.
func (r *relay) pass(h sessionstream.Header, buffer []byte) error {
	switch h.Channel {
	case sessionstream.ChannelControl:
		c, err := r.reader.Control()
		if err != nil {
			return err
		}
		return r.handle(c)
	case sessionstream.ChannelStdin:
		for {
			n, err := r.reader.Read(buffer)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := r.answer(r.session.Offer(buffer[:n])); err != nil {
				return err
			}
		}
	}
	return &sessionstream.Error{Code: sessionstream.CodeInvalid, Text: fmt.Sprintf("a client must not send on channel %d", h.Channel)}
}

// answer tells the client what becomes of its stdin, if that is to be told here.
func (r *relay) answer(c sessionstream.Control) error {
	switch c := c.(type) {
	case nil:
		return nil
	case *sessionstream.Error:
		return c
	default:
		return r.writer.WriteControl(c)
	}
}

// handle carries out a control. What needs a connection to the session is lost while
// there is none, as the protocol has it.
func (r *relay) handle(c sessionstream.Control) error {
	switch c := c.(type) {
	case *sessionstream.Ping:
		_ = r.session.Ping()
	case *sessionstream.Signal:
		_ = r.session.SignalOnce(*c)
	case *sessionstream.Resize:
		r.session.Resize(c.Window)
	case *sessionstream.Takeover:
		r.session.Takeover(*c)
	case *sessionstream.EOF:
		return r.answer(r.session.OfferEOF(*c))
	case *sessionstream.Detach:
		return io.EOF
	default:
		text := fmt.Sprintf("a viewer or writer must not send %s now", sessionstream.TypeOf(c))
		return &sessionstream.Error{Code: sessionstream.CodeInvalid, Text: text}
	}
	return nil
}
