package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"banger"
	"banger/sessionstream"
)

// printer writes out what a session writes. It belongs to whoever receives that.
type printer struct {
	session   string
	lent      bool      // our terminal is the session's
	out, errs io.Writer // for stdout and stderr of the session
	notices   io.Writer
	replay    *replay          // what becomes of output that is raw on a terminal
	position  banger.LogCursor // behind the last byte that was written out
}

// newPrinter returns one for output from a position on.
func newPrinter(a *attaching, from banger.LogCursor, r *replay) *printer {
	p := &printer{
		session: a.session.Name, lent: a.terminal != nil,
		out: liveOutput(a.Stdout, a.raw), errs: liveOutput(a.Stderr, a.raw), notices: a.Stderr,
		replay: r, position: from,
	}
	if p.lent {
		p.out = a.terminal
	}
	return p
}

// print writes out a piece of output.
func (p *printer) print(m sessionstream.Message) error {
	out, data := p.out, m.Data
	if m.Stream == banger.StreamStderr {
		out = p.errs
	}
	if isRaw(out) {
		data = p.replay.filter(m)
	}
	if _, err := out.Write(data); err != nil {
		if p.lent && errors.Is(err, syscall.EPIPE) {
			// The signal would have ended us, had we no terminal to give back.
			return statusError{exitSignal + int(syscall.SIGPIPE), fmt.Sprintf("detached from session %s, which goes on: nobody reads its output any more", safe(p.session))}
		}
		return fmt.Errorf("cannot print output: %w", err)
	}
	p.position = p.position.Advance(banger.LogChunk{Stream: m.Stream, Offset: m.Offset, Data: m.Data})
	return nil
}

// skip reports output that is not kept any more.
func (p *printer) skip(g *sessionstream.Gap) error {
	p.position = p.position.Advance(banger.LogChunk{Stream: g.Stream, Offset: g.To})
	return printGap(p.notices, g.Stream, g.To-g.From, g.Reason)
}

// isRaw reports whether an output is a terminal that gets a guest's bytes as they are.
func isRaw(out io.Writer) bool {
	if lent, ok := out.(*terminal); ok {
		return lent.screen != nil
	}
	_, isFile := out.(*os.File)
	return isFile && isTerminal(out)
}
