package transfer

import (
	"context"
	"errors"
	"net"
	"sync"

	"banger"
)

// Remote is the other side of a client's copy: a connection to a Server.
type Remote struct {
	frames *frames
	conn   net.Conn
	stop   func() bool
}

// Connect takes over a connection, on which nothing was sent, until Close. It ends with ctx.
func Connect(ctx context.Context, conn net.Conn) *Remote {
	return &Remote{newFrames(conn), conn, context.AfterFunc(ctx, func() { conn.Close() })}
}

// Close ends the connection.
func (r *Remote) Close() {
	r.stop()
	r.conn.Close()
}

// ask sends a request and returns a favourable answer.
func (r *Remote) ask(ctx context.Context, q Request) (Answer, error) {
	var a Answer
	err := r.frames.say(frameRequest, q)
	if err != nil {
		err = lostError{err}
	} else {
		err = r.frames.hear(frameAnswer, &a)
	}
	switch {
	case err != nil:
		return a, broken(ctx, err)
	case a.Error != nil:
		return a, a.Error
	case q.Op == Read && (a.Source == nil || !a.Source.valid()) || q.Op == Write && a.Have == nil:
		return a, broken(ctx, errProtocol)
	}
	return a, nil
}

// broken is the error of a connection that has ended too early.
func broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*banger.Error](err); ok {
		return err
	}
	if errors.Is(err, errProtocol) {
		return banger.Errorf(banger.CodeInternal, "cannot copy: %w", err)
	}
	if _, lost := errors.AsType[lostError](err); lost {
		return banger.Errorf(banger.CodeUnavailable, "cannot copy: the connection to the guest broke: %w", err).
			WithHint("repeat the command; a large file continues where it was")
	}
	return banger.Errorf(banger.CodeInvalid, "cannot copy: %w", err)
}

// OpenSource is OpenPath with the error that a user gets.
func OpenSource(p string, follow bool) (*Opened, error) {
	o, err := OpenPath(p, follow)
	if err != nil {
		return nil, sourceError(p, err)
	}
	return o, nil
}

// Fetch copies what r.Path means at a server to a path of this machine. where names the
// server, for a copy that is resumed.
func (r *Remote) Fetch(ctx context.Context, q Request, where, to string, progress *Progress, note func(string)) (Result, error) {
	a, err := r.readable(ctx, q, where, note)
	if err != nil {
		return Result{}, err
	}
	w, err := beginWrite(to, *a.Source, q.Owners, true)
	if err != nil {
		return Result{}, err
	}
	progress.Total.Store(a.Source.Size)
	if err := r.frames.say(frameGo, w.have); err != nil {
		w.abort(true)
		return Result{}, broken(ctx, lostError{err})
	}
	result := w.receive(ctx, r.frames, progress)
	return result, failure(ctx, result)
}

// readable asks for what is to be read.
func (r *Remote) readable(ctx context.Context, q Request, where string, note func(string)) (Answer, error) {
	q.Op = Read
	a, err := r.ask(ctx, q)
	if err != nil {
		return a, err
	}
	if a.Note != "" {
		note(clip(a.Note))
	}
	a.Source.Identity = where + a.Source.Identity
	a.Source.Name = byteString(BaseName(string(q.Path))) // whatever the server says
	return a, nil
}

func failure(ctx context.Context, r Result) error {
	if r.Error == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.Error
}

// Store copies a source of this machine to q.Path at a server.
func (r *Remote) Store(ctx context.Context, o *Opened, name, where string, q Request, progress *Progress) (Result, error) {
	source, err := o.source(name, where)
	if err != nil {
		return Result{}, sourceError(name, err)
	}
	progress.Total.Store(source.Size)
	return r.store(ctx, source, q, func(ctx context.Context, have Have) error {
		return newSender(ctx, r.frames, progress).send(o, have)
	})
}

// store has a source written at a server, which is sent by send.
func (r *Remote) store(ctx context.Context, source Source, q Request, send func(ctx context.Context, have Have) error) (Result, error) {
	q.Op, q.Source = Write, &source
	a, err := r.ask(ctx, q)
	if err != nil {
		return Result{}, err
	}
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	var sender sync.WaitGroup
	sender.Go(func() { _ = send(sending, *a.Have) }) // what has gone wrong is in the result, or ends the connection
	var result Result
	heard := r.frames.hear(frameResult, &result)
	cancel()
	r.conn.Close() // ends what is still being sent
	sender.Wait()
	switch {
	case heard == nil && result.Error != nil:
		result.Error = &banger.Error{Code: result.Error.Code, Message: clip(result.Error.Message), Hint: clip(result.Error.Hint)}
		return result, failure(ctx, result)
	case heard != nil:
		return result, broken(ctx, heard)
	}
	return result, nil
}

// Pass copies from one server to another.
func Pass(ctx context.Context, from *Remote, read Request, where string, to *Remote, write Request, progress *Progress, note func(string)) (Result, error) {
	a, err := from.readable(ctx, read, where, note)
	if err != nil {
		return Result{}, err
	}
	progress.Total.Store(a.Source.Size)
	return to.store(ctx, *a.Source, write, func(ctx context.Context, have Have) error {
		stop := context.AfterFunc(ctx, func() { from.conn.Close() })
		defer stop()
		if err := from.frames.say(frameGo, have); err != nil {
			return err
		}
		for {
			k, payload, err := from.frames.read()
			if err == nil {
				err = context.Cause(ctx)
			}
			if err == nil {
				err = to.frames.write(k, payload)
			}
			if err != nil {
				return err
			}
			progress.pass(k, payload)
			if k == frameEnd {
				return to.frames.flush()
			}
		}
	})
}

// pass counts a frame that goes by.
func (p *Progress) pass(k kind, payload []byte) {
	switch k {
	case frameFile:
		p.Files.Add(1)
	case frameBytes:
		p.Bytes.Add(int64(len(payload)))
	}
}
