package shim

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"banger"
	"banger/internal/sessiondir"
	"banger/internal/signalname"
	"banger/sessionstream"
)

// attachment is a viewer's or writer's connection. One goroutine reads what the
// client sends, one sends (outlet), and a writer has one more (feeder).
type attachment struct {
	*conn
	attach sessionstream.Attach
	out    *outlet

	writing  bool        // this was the writer at some time; used by the reading goroutine
	told     bool        // that there is no stdin; used by the reading goroutine
	refused  atomic.Bool // we have ended it
	feeder   *feeder     // of the writer; set and stopped under the lease's lock
	expelled bool        // a newer connection of the attachment is there; guarded by the lease
}

// attachTo serves a viewer or writer until one side ends.
func (c *conn) attachTo(attach sessionstream.Attach) {
	a := &attachment{conn: c, attach: attach}
	a.out = &outlet{conn: c, notifier: c.server.notifier}
	c.server.sit(a)
	defer c.server.leave(a)
	attached, refused := a.begin()
	if refused != nil {
		_ = c.send(refused)
		return
	}
	if c.send(attached) != nil {
		c.server.lease.leave(a, false)
		return
	}
	a.out.begin()
	var sending sync.WaitGroup
	sending.Go(a.out.run)
	c.server.enter(a)
	inOrder := a.handle()
	c.server.lease.leave(a, inOrder || a.refused.Load())
	if !c.server.isOver() {
		a.out.finish()
	}
	sending.Wait()
}

// begin finds what the client asks for, and how it is answered.
func (a *attachment) begin() (*sessionstream.Attached, *sessionstream.Error) {
	answer := &sessionstream.Attached{Revision: sessionstream.Revision}
	from := banger.LogCursor{Stderr: a.server.logs.w.Size(banger.StreamStderr)}
	answer.Terminal, from.Stdout = a.server.terminal.look(a.stdoutEnd)
	if a.attach.Role == sessionstream.RoleWriter {
		switch lost := a.becomeWriter(false, a.attach.Window, func(g granted) {
			answer.Stdin, answer.Terminal, from.Stdout = g.stdin, g.terminal, g.at
		}).(type) {
		case *sessionstream.Error:
			return nil, lost
		case *sessionstream.Evicted:
			a.writing = true // as it believes
			a.out.queue(lost)
		}
	}
	if !a.attach.NoOutput {
		follower, refused := a.findOutput(from)
		if refused != nil {
			a.server.lease.leave(a, true)
			return nil, refused
		}
		a.out.output, answer.Output = follower, new(follower.At())
	}
	answer.State = a.server.record.snapshot().SessionState
	return answer, nil
}

func (a *attachment) stdoutEnd() int64 { return a.server.logs.w.Size(banger.StreamStdout) }

// findOutput makes the follower that begins where the client wants, or at from.
func (a *attachment) findOutput(from banger.LogCursor) (*sessiondir.Follower, *sessionstream.Error) {
	logs := a.server.logs.w
	switch {
	case a.attach.From != nil:
		from = *a.attach.From
	case a.attach.Tail != nil:
		reader := sessiondir.NewLiveReader(os.DirFS(a.server.dir.Name()))
		var err error
		if from, err = reader.Tail(a.server.ctx, banger.StreamBoth, *a.attach.Tail); err != nil {
			return nil, refusal(sessionstream.CodeIO, "%v", err)
		}
	}
	follower, err := logs.Follow(from)
	if err != nil {
		return nil, refusal(sessionstream.CodeOffset, "%v", err)
	}
	return follower, nil
}

// becomeWriter takes the writer's place and begins to feed. tell gets what the client
// learns, before it can learn that it has lost that place again.
func (a *attachment) becomeWriter(force bool, window *sessionstream.Window, tell func(granted)) sessionstream.Control {
	s := a.server
	return s.lease.acquire(s.ctx, a, force, func(again bool) {
		a.writing = true
		g := granted{stdin: a.grant()}
		var live *sessionstream.Live                                                  // if it has a terminal of its own
		g.terminal, g.at, live = s.terminal.attend(window != nil, again, a.stdoutEnd) // before it is resized
		tell(g)
		if live != nil {
			a.out.queue(live)
		}
		if s.stdin != nil {
			a.feeder = newFeeder(s.ctx, s.stdin, a.attach.RawLine, a.out, a.refuse)
		}
		if window != nil {
			s.terminal.resize(*window)
		}
	})
}

// granted is what a writer gets: stdin, and the terminal as it is at a position of stdout.
type granted struct {
	stdin    *sessionstream.Grant
	terminal *sessionstream.Terminal
	at       int64
}

// grant returns how stdin stands, for a writer.
func (a *attachment) grant() *sessionstream.Grant {
	g := &sessionstream.Grant{EOF: true, WindowBytes: stdinWindow, LeaseMS: leaseTime.Milliseconds()}
	if in := a.server.stdin; in != nil {
		g.Offset, g.EOF = in.offset.Load(), in.closed.Load()
	}
	return g
}

// fence returns when no byte that the client has sent can reach the command any more.
// The caller holds the lease's lock.
func (a *attachment) fence() {
	if a.feeder != nil {
		a.feeder.stop()
	}
}

// finishStdin has fed what the client sent before it left, as far as the command's stdin has
// room for it. The caller holds the lease's lock.
func (a *attachment) finishStdin() {
	if a.feeder != nil {
		a.feeder.finish()
	}
}

// handle carries out what the client sends until it sends no more, and reports
// whether it ended in order.
func (a *attachment) handle() (inOrder bool) {
	for {
		h, err := a.reader.Next()
		if err == nil && h.Channel == sessionstream.ChannelStdin {
			err = a.takeStdin(h.Length)
		} else if err == nil {
			inOrder, err = a.control()
		}
		if refused, ok := asRefusal(err); ok {
			a.refuse(refused)
			if !a.refused.Load() {
				continue
			}
		}
		if inOrder || err != nil {
			return inOrder
		}
	}
}

// refuse sends the client what it did wrong, and ends it if that cannot continue.
func (a *attachment) refuse(e *sessionstream.Error) {
	a.out.queue(e)
	if e.Code != sessionstream.CodeUnsupported && e.Code != sessionstream.CodeClosed {
		a.refused.Store(true)
		a.out.finish()
	}
}

// takeStdin takes in a frame of stdin. It is read whole first: a client that
// stalls within a frame must not hold up others.
func (a *attachment) takeStdin(length int) error {
	data := make([]byte, length)
	if _, err := io.ReadFull(a.reader, data); err != nil {
		return err
	}
	return a.feed(piece{data: data})
}

func (a *attachment) feed(p piece) (err error) {
	return a.asWriter(func() {
		switch {
		case a.feeder != nil:
			if refused := a.feeder.add(p); refused != nil {
				err = refused
			}
		case p.eof != nil && (p.eof.Offset == nil || *p.eof.Offset == 0):
			a.out.acknowledge(0, true)
		case p.eof != nil:
			err = &sessionstream.Error{Code: sessionstream.CodeOffset, Text: "stdin stands at 0, where it is closed", Offset: new(int64)}
		case !a.told:
			a.told = true
			a.out.queue(&sessionstream.Error{Code: sessionstream.CodeClosed, Text: "the session was started with its stdin closed", Offset: new(int64)})
		}
	}, &err)
}

// asWriter runs what only the writer may do. What somebody sent before it knew
// that it had lost that place is dropped.
func (a *attachment) asWriter(do func(), result *error) error {
	if !a.server.lease.as(a, do) && !a.writing {
		return refusal(sessionstream.CodeInvalid, "a viewer must not send that")
	}
	return *result
}

// control carries out one control.
func (a *attachment) control() (detach bool, err error) {
	m, err := a.reader.Control()
	if err != nil {
		return false, err
	}
	s := a.server
	switch m := m.(type) {
	case *sessionstream.Detach:
		s.lease.as(a, a.finishStdin)
		return true, nil
	case *sessionstream.Ping:
		s.lease.as(a, func() {})
		a.out.answerPing()
		return false, nil
	case *sessionstream.Takeover:
		a.takeOver(m)
		return false, nil
	case *sessionstream.EOF:
		return false, a.feed(piece{eof: m})
	case *sessionstream.Resize:
		return false, a.asWriter(func() { s.terminal.resize(m.Window) }, &err)
	case *sessionstream.Signal:
		return false, a.asWriter(func() { err = a.signal(m) }, &err)
	}
	return false, refusal(sessionstream.CodeInvalid, "a %s must not send that", a.attach.Role)
}

// signal sends a writer's signal. One that comes after the command's end is
// not refused: the exit follows.
func (a *attachment) signal(m *sessionstream.Signal) error {
	if refused := a.server.signal(m, func() {}); refused != nil && refused.Code != sessionstream.CodeEnded {
		return refused
	}
	return nil
}

func (a *attachment) takeOver(m *sessionstream.Takeover) {
	if a.server.lease.as(a, func() {}) {
		return // it is the writer
	}
	a.becomeWriter(true, m.Window, func(g granted) { a.out.queue(&sessionstream.Granted{Stdin: *g.stdin}) })
}

// signal sends a signal to processes of the session; sent is called when that is done,
// before the session can end of it.
func (s *server) signal(m *sessionstream.Signal, sent func()) *sessionstream.Error {
	sig := signalname.Parse(m.Signal)
	if sig == 0 {
		return refusal(sessionstream.CodeUnsupported, "there is no signal %.40q", m.Signal)
	}
	err := s.supervisor.signal(signalRequest{id: m.ID, signal: sig, to: m.To, sent: sent})
	switch {
	case errors.Is(err, errEnded):
		return refusal(sessionstream.CodeEnded, "%v", err)
	case err != nil:
		return refusal(sessionstream.CodeIO, "%v", err)
	}
	return nil
}
