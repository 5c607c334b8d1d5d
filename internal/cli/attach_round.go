package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"banger"
	"banger/sessionstream"
)

// leaveTimeout is how long a detach may take, whatever the connection does.
const leaveTimeout = 2 * time.Second

// round is an attachment from its beginning to its end, of which there are several if this
// process is stopped and continued in between.
type round struct {
	*attaching
	attachment *sessionstream.Attachment
	end        context.CancelCauseFunc // ends the attachment
	lost       *lostNotice
	output     *printer
	picture    *picture

	mu       sync.Mutex // guards everything below
	stopping bool       // this process is to stop when it has left
	writing  bool       // we are the writer
	left     func()     // ends the wait for a detach
}

// run lends the session our terminal until the session ends, which gives its state, or the
// attachment does.
func (r *round) run(ctx context.Context) (*banger.SessionState, error) {
	defer r.attachment.Close()
	if r.terminal != nil {
		if err := r.terminal.lend(); err != nil {
			return nil, fmt.Errorf("cannot use the terminal: %w", err)
		}
		defer r.terminal.restore()
		defer r.terminal.guard()
	}
	leave := context.AfterFunc(ctx, r.leave)
	defer leave()
	defer r.watchSignals(ctx)()
	if err := r.picture.paint(ctx); err != nil {
		return nil, err
	}
	if r.isWriting() || r.view && r.terminal != nil {
		r.input.feed()
	}
	state, err := r.receive()
	r.picture.leave()
	flushed := 0
	if r.terminal != nil {
		flushed = r.terminal.restore()
	}
	if state != nil || err != nil {
		return state, err
	}
	lost := r.input.lost(r.attachment)
	if ctx.Err() == nil && r.isStopping() {
		r.reportLost(lost + flushed)
		return nil, nil
	}
	at := r.output.position
	fmt.Fprintf(r.Stderr, "banger: detached from session %s, which keeps running (stdout %d, stderr %d)\nbanger: come back with: %s\n",
		safe(r.session.Name), at.Stdout, at.Stderr, safe(r.comeBack(at)))
	r.reportLost(lost + r.input.waiting())
	return nil, context.Cause(ctx) // a signal had us leave, or nothing
}

// reportLost warns the user about input that may be lost.
func (r *round) reportLost(n int) {
	if n > 0 {
		fmt.Fprintf(r.Stderr, "banger: the last %d bytes of input may not have reached it\n", n)
	}
}

func (r *round) isStopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopping
}

func (r *round) isWriting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writing
}

func (r *round) setWriting(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = is
}

// receive writes out what comes until the session ends, which gives its state, or
// the attachment does.
func (r *round) receive() (*banger.SessionState, error) {
	defer r.stopTimers()
	for {
		m, err := r.attachment.Receive()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		r.lost.end()
		if m.Control == nil {
			err = r.output.print(m)
		} else if exit, ok := m.Control.(*sessionstream.Exit); ok {
			return &exit.State, nil
		} else {
			err = r.handle(m.Control)
		}
		if err != nil {
			r.attachment.Detach()
			return nil, err
		}
	}
}

// handle takes in a control of the session.
func (r *round) handle(c sessionstream.Control) error {
	switch c := c.(type) {
	case *sessionstream.Granted:
		r.setWriting(true)
		r.input.feed()
	case *sessionstream.Live:
		r.output.replay.live.Stdout = c.Stdout
	case *sessionstream.Evicted:
		r.setWriting(false)
		return c.Err()
	case *sessionstream.Gap:
		return r.output.skip(c)
	case *sessionstream.Error:
		if c.Code != sessionstream.CodeClosed { // whoever writes to stdin learns that it is closed
			fmt.Fprintf(r.Stderr, "banger: %s\n", safe(c.Text))
		}
	}
	return nil
}

// leave detaches, within a time.
func (r *round) leave() {
	timer := time.AfterFunc(leaveTimeout, func() { r.end(io.EOF) })
	r.mu.Lock()
	r.left = func() { timer.Stop() }
	r.mu.Unlock()
	r.attachment.Detach()
}

func (r *round) stopTimers() {
	r.lost.end()
	r.picture.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left != nil {
		r.left()
	}
}
