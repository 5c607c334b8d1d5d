package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"banger"
)

// Server serves one connection.
type Server struct {
	// Read finds what is to be read and calls f with it, whose error it returns.
	Read func(r Request, f func(context.Context, *Opened) error) error
	// Writable resolves what is to be written, before anything else is done.
	// It is nil where nothing can be written; then Refusal says why.
	Writable func(r Request) (path string, err error)
	Refusal  error
}

// Serve serves one request on a connection, until that is carried out or ctx or the connection
// ends. When it returns after a write, all that it has made is there, or nothing.
func (s Server) Serve(ctx context.Context, conn io.ReadWriter) error {
	f := newFrames(conn)
	var r Request
	if err := f.hear(frameRequest, &r); err != nil {
		return err
	}
	switch r.Op {
	case Read:
		return s.read(f, r)
	case Write:
		return s.write(ctx, f, r)
	}
	return f.say(frameAnswer, Answer{Error: banger.Errorf(banger.CodeInvalid, "cannot copy: %q is not an operation", string(r.Op))})
}

func (s Server) read(f *frames, r Request) error {
	begun := false
	err := s.Read(r, func(ctx context.Context, o *Opened) error {
		source, err := o.source(BaseName(string(r.Path)), "")
		if err != nil {
			return err
		}
		begun = true
		if err := f.say(frameAnswer, Answer{Source: &source, Note: o.Note}); err != nil {
			return err
		}
		var have Have
		if err := f.hear(frameGo, &have); err != nil {
			return err
		}
		return newSender(ctx, f, nil).send(o, have)
	})
	if err != nil && !begun {
		return f.say(frameAnswer, Answer{Error: sourceError(string(r.Path), err)})
	}
	return err
}

func (s Server) write(ctx context.Context, f *frames, r Request) error {
	refuse := func(err error) error { return f.say(frameAnswer, Answer{Error: asError(err)}) }
	if s.Writable == nil {
		return refuse(s.Refusal)
	}
	if r.Source == nil || !r.Source.valid() {
		return refuse(banger.Errorf(banger.CodeInvalid, "cannot copy: the request has no valid source"))
	}
	p, err := s.Writable(r)
	if err != nil {
		return refuse(err)
	}
	w, err := beginWrite(p, *r.Source, r.Owners, false)
	if err != nil {
		return refuse(err)
	}
	if err := f.say(frameAnswer, Answer{Have: &w.have}); err != nil {
		w.abort(true)
		return err
	}
	result := w.receive(ctx, f, nil)
	if err := f.say(frameResult, result); err != nil {
		return err
	}
	// The sender may be in the middle of something. It is read until it knows.
	_, err = io.Copy(io.Discard, f.r)
	return err
}

// valid reports whether a source is one that somebody can send.
func (s *Source) valid() bool {
	return (s.Form == FormFile || s.Form == FormDir || s.Form == FormLink) && s.Size >= 0 && s.Data >= 0 && len(s.Identity) <= maxMessageBytes*8 &&
		!strings.ContainsAny(s.Identity, "\n") && (s.Name == "" || validName(string(s.Name)))
}

// writing is a copy to a target of this machine.
type writing struct {
	target *target
	sink   *diskSink
	source Source
	have   Have
	result Result
}

// beginWrite finds the target of a source and what is there already. reserve leaves some room
// on the disk to others.
func beginWrite(p string, source Source, owners, reserve bool) (*writing, error) {
	if strings.IndexByte(p, 0) >= 0 {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot copy to %q: it holds a NUL", p)
	}
	t, err := findTarget(p, source)
	if err != nil {
		return nil, err
	}
	w := &writing{target: t, sink: newDiskSink(t, owners, reserve), source: source}
	if source.Form == FormFile {
		if w.sink.partial, err = openPartial(t, source); err != nil {
			t.close()
			return nil, err
		}
		w.have = w.sink.partial.have
		if err := w.sink.room.check(source.Data - w.have.Bytes); err != nil {
			w.abort(false)
			return nil, err
		}
	}
	return w, nil
}

// receive takes the tree. If it fails nothing is under the final name.
func (w *writing) receive(ctx context.Context, f *frames, progress *Progress) Result {
	r := &receiver{ctx: ctx, in: f, sink: w.sink, form: w.source.Form, have: w.have, progress: progress, result: &w.result}
	if w.sink.partial != nil {
		r.prefix = w.sink.partial.prefix
	}
	err := r.receive()
	if err == nil {
		err = w.sink.finish()
	}
	if err == nil {
		w.result.Resumed = r.resumed
		w.abort(false)
		return w.result
	}
	_, lost := errors.AsType[lostError](err)
	kept := w.abort(lost || ctx.Err() != nil)
	w.result.Kept = byteString(kept)
	w.result.Error = targetError(w.target.shown, err)
	return w.result
}

// abort ends it. What is whole stays.
func (w *writing) abort(keep bool) (kept string) {
	kept = w.sink.abort(keep)
	w.target.close()
	return kept
}

// sourceError is the error of a path that cannot be read.
func sourceError(p string, err error) *banger.Error {
	if e, ok := errors.AsType[*banger.Error](err); ok {
		return e
	}
	code := banger.CodeInvalid
	if errors.Is(err, fs.ErrNotExist) {
		code = banger.CodeNotFound
	}
	return banger.Errorf(code, "cannot copy %q: %w", p, pathCause(err))
}

// targetError is the error of a copy that was given up.
func targetError(shown string, err error) *banger.Error {
	if e, ok := errors.AsType[*banger.Error](err); ok {
		return e
	}
	if _, lost := errors.AsType[lostError](err); lost {
		return banger.Errorf(banger.CodeUnavailable, "cannot copy to %q: the connection broke before all had come", shown)
	}
	if errors.Is(err, context.Canceled) {
		return banger.Errorf(banger.CodeUnavailable, "cannot copy to %q: it was interrupted", shown)
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot copy to %q: %w", shown, err)
}

func asError(err error) *banger.Error {
	if e, ok := errors.AsType[*banger.Error](err); ok {
		return e
	}
	return banger.Errorf(banger.CodeInvalid, "cannot copy: %w", err)
}
