package shim

import (
	"context"
	"errors"
	"sync"

	"banger/sessionstream"
)

// stdinWindow is how many bytes a writer may have sent that the command's stdin
// has not taken. They wait here, so that what comes behind them is read.
const stdinWindow = 256 << 10

// feeder carries a writer's bytes to stdin, and answers for them. One goroutine
// adds, another one feeds.
type feeder struct {
	stdin   *stdin
	rawLine bool // what a terminal in line mode drops is fed all the same
	out     *outlet
	refuse  func(*sessionstream.Error) // reports why nothing more is fed
	end     context.CancelFunc
	done    chan struct{} // closed when nothing is fed any more

	mu      sync.Mutex // guards the fields below
	more    *sync.Cond // of mu
	pieces  []piece
	bytes   int  // of pieces and what is being fed
	leaving bool // the writer sends no more
	stopped bool // nothing is taken any more
}

// piece is a part of stdin, or the end of it.
type piece struct {
	data []byte
	eof  *sessionstream.EOF
}

// newFeeder begins to feed where stdin stands, until stop or ctx.
func newFeeder(ctx context.Context, s *stdin, rawLine bool, out *outlet, refuse func(*sessionstream.Error)) *feeder {
	ctx, cancel := context.WithCancel(ctx)
	f := &feeder{stdin: s, rawLine: rawLine, out: out, refuse: refuse, end: cancel, done: make(chan struct{})}
	f.more = sync.NewCond(&f.mu)
	go f.run(ctx)
	return f
}

// add takes in a piece. It never blocks.
func (f *feeder) add(p piece) *sessionstream.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes+len(p.data) > stdinWindow {
		return refusal(sessionstream.CodeInvalid, "more than %d bytes of stdin were sent without an acknowledgement", stdinWindow)
	}
	if !f.stopped {
		f.bytes += len(p.data)
		f.pieces = append(f.pieces, p)
		f.more.Signal()
	}
	return nil
}

// finish feeds of what is there as much as stdin takes at once, drops the rest, and returns
// when no byte of it can reach the command any more.
func (f *feeder) finish() {
	f.mu.Lock()
	f.leaving = true
	f.more.Signal()
	f.mu.Unlock()
	f.end()
	<-f.done
}

// stop drops what has not been fed, cuts what is being fed, and returns when no
// byte of it can reach the command any more.
func (f *feeder) stop() {
	f.mu.Lock()
	f.stopped, f.pieces = true, nil
	f.more.Signal()
	f.mu.Unlock()
	f.end()
	<-f.done
}

// next waits for a piece; false means that feeding is over.
func (f *feeder) next() (piece, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.pieces) == 0 && !f.stopped && !f.leaving {
		f.more.Wait()
	}
	if f.stopped || len(f.pieces) == 0 {
		return piece{}, false
	}
	p := f.pieces[0]
	if f.pieces = f.pieces[1:]; len(f.pieces) == 0 {
		f.pieces = nil
	}
	return p, true
}

func (f *feeder) run(ctx context.Context) {
	defer close(f.done)
	defer f.end()
	for {
		p, ok := f.next()
		if !ok {
			return
		}
		var err error
		if p.eof != nil {
			err = f.stdin.end(ctx, p.eof.Offset)
		} else {
			err = f.stdin.write(ctx, p.data, f.rawLine)
		}
		f.mu.Lock()
		f.bytes -= len(p.data)
		f.mu.Unlock()
		if !f.answer(err) {
			return
		}
	}
}

// answer reports to the client what became of a piece, and whether feeding continues. A
// client that has only stopped sending still gets the exact position.
func (f *feeder) answer(err error) bool {
	refused, ok := errors.AsType[*sessionstream.Error](err)
	if !ok {
		f.out.acknowledge(f.stdin.offset.Load(), f.stdin.closed.Load())
		return err == nil
	}
	goOn := refused.Code == sessionstream.CodeUnsupported
	if !goOn {
		f.mu.Lock()
		f.stopped, f.pieces = true, nil
		f.mu.Unlock()
	}
	f.refuse(refused)
	return goOn
}
