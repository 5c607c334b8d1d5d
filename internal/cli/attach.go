package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"banger"
	"banger/sessionstream"
)

const (
	// noticeAfter is how long a connection may be lost before the user is notified.
	noticeAfter = 2 * time.Second
	// leaveTimeout is how long a detach may take, whatever the connection does.
	leaveTimeout = 2 * time.Second
	// keyTimeout is how long the bytes of one key may be apart.
	keyTimeout = 100 * time.Millisecond
	// repaintAfter is when a program is asked the second time to paint its screen.
	repaintAfter = 200 * time.Millisecond
)

// attachOptions are what a user can choose.
type attachOptions struct {
	view       bool // be a viewer
	takeover   bool
	noStdin    bool
	eof        bool // our end of stdin is the session's
	rawReplay  bool
	raw        bool              // print output on a terminal as it is, whatever the session
	from       *banger.LogCursor // nil: now, and a terminal is painted
	detachKeys []byte
	// forward has SIGTERM and SIGHUP go to the session, as SIGINT does.
	forward bool
}

// attaching is one run of attach. Its goroutines end with it, but for the one that
// reads our stdin, which nothing can wake.
type attaching struct {
	*CLI
	attachOptions
	session    banger.Session
	attachment *sessionstream.Attachment
	terminal   *terminal // lent to the session; nil if it has none or we have none
	out, errs  io.Writer // for stdout and stderr of the session
	replay     *replay   // what becomes of output that is raw on a terminal; belongs to the receiver

	writes sync.Mutex // held while writing to an attachment

	mu       sync.Mutex              // guards everything below, and changes of attachment
	end      context.CancelCauseFunc // ends the attachment
	reading  bool                    // a goroutine reads our stdin
	kept     []byte                  // what it has read and no attachment has taken
	stopping bool                    // this process is to stop when it has left
	writing  bool                    // we are the writer
	position banger.LogCursor        // behind the last byte that was written out
	lost     *time.Timer             // until the user is notified that the connection is lost
	repaint  *time.Timer             // until the program is asked a second time
	cropped  *cropped                // what output goes through, if our terminal is too small for it
	left     context.CancelFunc      // ends the wait for a detach
}

// attach connects a session with our standard streams until it ends or we leave.
// The state is that of the end, or nil if we left.
func (c *CLI) attach(ctx context.Context, x banger.Session, o attachOptions) (*banger.SessionState, error) {
	a := &attaching{CLI: c, attachOptions: o, session: x, out: liveOutput(c.Stdout, o.raw), errs: liveOutput(c.Stderr, o.raw)}
	if x.TTY {
		if a.terminal = userTerminal(c.Stdin, c.Stdout); a.terminal != nil {
			a.out = a.terminal
		}
	}
	for {
		state, err := a.round(ctx)
		if state != nil || err != nil || !a.isStopping() {
			return state, attachError(x, err)
		}
		stopUntilContinued()
		a.begin()
	}
}

// begin makes the next round one that paints the terminal, and takes nobody's place.
func (a *attaching) begin() {
	a.takeover, a.from, a.rawReplay = false, nil, false
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopping, a.writing, a.cropped, a.left, a.lost, a.repaint = false, false, nil, nil, nil, nil
	a.out = a.terminal
}

// round is an attachment from its begin to its end, of which there are several if this
// process is stopped and continued in between.
func (a *attaching) round(ctx context.Context) (*banger.SessionState, error) {
	c, x := a.CLI, a.session
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	if err := a.open(ctx, life, end); err != nil {
		return nil, err
	}
	defer a.attachment.Close()
	if a.terminal != nil {
		if err := a.terminal.makeRaw(); err != nil {
			return nil, fmt.Errorf("cannot use the terminal: %w", err)
		}
		defer a.terminal.restore()
		defer a.terminal.guard()
	}
	leave := context.AfterFunc(ctx, func() { a.leave(end) })
	defer leave()
	defer a.watchSignals(ctx, end)()
	if err := a.paint(ctx); err != nil {
		return nil, err
	}
	if a.isWriting() || a.view && a.terminal != nil {
		a.feed()
	}
	state, err := a.receive()
	if a.cropped != nil {
		a.cropped.leave()
	}
	flushed := 0
	if a.terminal != nil {
		flushed = a.terminal.restore()
	}
	if state != nil || err != nil {
		return state, err
	}
	lost := a.lostInput()
	if ctx.Err() == nil && a.isStopping() {
		a.tellLost(lost + flushed)
		return nil, nil
	}
	fmt.Fprintf(c.Stderr, "banger: detached from session %s, which keeps running (stdout %d, stderr %d)\n",
		safe(x.Name), a.position.Stdout, a.position.Stderr)
	a.mu.Lock()
	lost += len(a.kept)
	a.mu.Unlock()
	a.tellLost(lost)
	return nil, context.Cause(ctx) // a signal had us leave, or nothing
}

// open attaches. life is that of the attachment, which outlasts ctx by a detach.
func (a *attaching) open(ctx, life context.Context, end context.CancelCauseFunc) error {
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	defer stop()
	x := a.session
	request := sessionstream.Attach{
		Role: sessionstream.RoleWriter, AttachID: string(banger.NewSessionID()), Client: clientName(), From: a.from,
	}
	if a.view || a.takeover {
		request.Role = sessionstream.RoleViewer
	}
	window := a.window()
	if request.Role == sessionstream.RoleWriter {
		request.Window = window
		request.RawLine = a.terminal != nil // its user hears the bell, as on any terminal
	}
	attachment, err := sessionstream.Open(life, sessionstream.Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return a.Backend.Services().Dialer.DialSession(ctx, string(x.VMID), string(x.ID))
		},
		Attach: request, KeepLease: true, OnLost: a.connectionLost,
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.attachment, a.end = attachment, end
	a.writing = request.Role == sessionstream.RoleWriter
	a.mu.Unlock()
	attached := a.attachment.Attached()
	a.position = *attached.Output
	told := !a.view && window != nil && attached.Terminal != nil && attached.Revision >= 4
	a.replay = newReplay(attached, told)
	if a.takeover && !a.view {
		a.attachment.Takeover(sessionstream.Takeover{Window: window})
	}
	return nil
}

// attachError adds what the user can do about a refusal.
func attachError(x banger.Session, err error) error {
	refused, ok := errors.AsType[*sessionstream.Error](err)
	if !ok {
		return err
	}
	switch refused.Code {
	case sessionstream.CodeHeld:
		return banger.Errorf(banger.CodeInUse, "cannot attach to session %q: %w", x.Name, err).
			WithHint("watch with --view, or take over its stdin with --takeover")
	case sessionstream.CodeEvicted:
		return banger.Errorf(banger.CodeInUse, "attachment to session %q ended: %w", x.Name, err).
			WithHint("the session keeps running; take it back with --takeover")
	case sessionstream.CodeLine:
		return banger.Errorf(banger.CodeInvalid, "attachment to session %q ended: %w", x.Name, err).
			WithHint("send shorter lines; for a program that is about to leave line mode, use: banger session send --raw-line")
	case sessionstream.CodeOffset:
		return banger.Errorf(banger.CodeInvalid, "cannot attach to session %q: %w", x.Name, err)
	case sessionstream.CodePaused:
		return banger.Errorf(banger.CodeState, "%w", err)
	case sessionstream.CodeStaleEpoch:
		stale := banger.Errorf(banger.CodeStaleEpoch, "attachment to session %q ended: its VM was forked or set back to an older snapshot: %w", x.Name, err).
			WithHint("attach again, without the output that you have already seen")
		stale.Parted = refused.Parted
		return stale
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot attach to session %q: %w", x.Name, err)
}

func (a *attaching) isStopping() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stopping
}

func (a *attaching) isWriting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.writing
}

// receive writes out what comes until the session ends, which gives its state, or
// the attachment does.
func (a *attaching) receive() (*banger.SessionState, error) {
	defer a.stopTimers()
	for {
		m, err := a.attachment.Receive()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		a.connectionFound()
		if m.Control == nil {
			err = a.print(m)
		} else if exit, ok := m.Control.(*sessionstream.Exit); ok {
			return &exit.State, nil
		} else {
			err = a.handle(m.Control)
		}
		if err != nil {
			a.attachment.Detach()
			return nil, err
		}
	}
}

// print writes out a piece of output.
func (a *attaching) print(m sessionstream.Message) error {
	out, data := a.out, m.Data
	if m.Stream == banger.StreamStderr {
		out = a.errs
	}
	if a.isRaw(out) {
		data = a.replay.filter(m)
	}
	if _, err := out.Write(data); err != nil {
		if a.terminal != nil && errors.Is(err, syscall.EPIPE) {
			// The signal would have ended us, had we no terminal to give back.
			return statusError{exitSignal + int(syscall.SIGPIPE), fmt.Sprintf("detached from session %s, which goes on: nobody reads its output any more", safe(a.session.Name))}
		}
		return fmt.Errorf("cannot print output: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.position = a.position.Advance(banger.LogChunk{Stream: m.Stream, Offset: m.Offset, Data: m.Data})
	return nil
}

// isRaw reports whether an output is a terminal that gets a guest's bytes as they are.
func (a *attaching) isRaw(out io.Writer) bool {
	if lent, ok := out.(*terminal); ok {
		return lent.screen != nil
	}
	_, isFile := out.(*os.File)
	return isFile && isTerminal(out)
}

// handle takes in a control of the session.
func (a *attaching) handle(c sessionstream.Control) error {
	switch c := c.(type) {
	case *sessionstream.Granted:
		a.mu.Lock()
		a.writing = true
		a.mu.Unlock()
		a.feed()
	case *sessionstream.Live:
		a.replay.live.Stdout = c.Stdout
	case *sessionstream.Evicted:
		a.mu.Lock()
		a.writing = false
		a.mu.Unlock()
		return c.Err()
	case *sessionstream.Gap:
		a.mu.Lock()
		a.position = a.position.Advance(banger.LogChunk{Stream: c.Stream, Offset: c.To})
		a.mu.Unlock()
		return printGap(a.Stderr, c.Stream, c.To-c.From, c.Reason)
	case *sessionstream.Error:
		if c.Code != sessionstream.CodeClosed { // whoever writes to stdin learns that it is closed
			fmt.Fprintf(a.Stderr, "banger: %s\n", safe(c.Text))
		}
	}
	return nil
}

// current returns the attachment of this round.
func (a *attaching) current() *sessionstream.Attachment {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attachment
}

// leave detaches, within a time.
func (a *attaching) leave(end context.CancelCauseFunc) {
	timer := time.AfterFunc(leaveTimeout, func() { end(io.EOF) })
	a.mu.Lock()
	a.left = func() { timer.Stop() }
	a.mu.Unlock()
	a.current().Detach()
}

// connectionLost notifies the user if a connection does not come back soon.
func (a *attaching) connectionLost(error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost == nil {
		a.lost = time.AfterFunc(noticeAfter, func() {
			fmt.Fprintf(a.Stderr, "banger: lost connection to session %s; reconnecting\r\n", safe(a.session.Name))
		})
	}
}

func (a *attaching) connectionFound() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost != nil {
		a.lost.Stop()
		a.lost = nil
	}
}

func (a *attaching) stopTimers() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost != nil {
		a.lost.Stop()
	}
	if a.repaint != nil {
		a.repaint.Stop()
	}
	if a.left != nil {
		a.left()
	}
}
