package sessiondir

import (
	"errors"
	"fmt"

	"banger"
)

// Bounds of what a Follower looks ahead.
const (
	planExtents = 128
	planBytes   = 256 << 10
)

// Follower goes through what a Writer of the same process writes, from a position
// on: each byte once, that of both streams in the order in which it was written.
// It is used by one goroutine, beside the Writer's.
type Follower struct {
	w    *Writer
	at   position
	plan []extent // what comes next
}

// Follow returns a follower that begins at a position. One beyond the end is
// CodeInvalid.
func (w *Writer) Follow(from banger.LogCursor) (*Follower, error) {
	f := &Follower{w: w, at: position{from.Stdout, from.Stderr}}
	if size := w.sizes(); !f.at.within(size) || !(position{}).within(f.at) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot read output at %v: there are %d bytes of stdout and %d of stderr", from, size[stdout], size[stderr])
	}
	return f, nil
}

// At returns the position of what comes next.
func (f *Follower) At() banger.LogCursor {
	return banger.LogCursor{Stdout: f.at[stdout], Stderr: f.at[stderr]}
}

// Pending reports whether there is something to read.
func (f *Follower) Pending() bool { return f.at != f.w.sizes() }

// Gap skips what comes next and is not kept. It reports false if that is kept, or
// there is nothing yet.
func (f *Follower) Gap() (gap banger.LogChunk, ok bool) {
	floors, why := f.w.given()
	for s, floor := range floors {
		if from := f.at[s]; from < floor {
			f.at[s], f.plan = floor, nil
			name, _ := streamName(s)
			return banger.LogChunk{Stream: name, Offset: from, Gap: floor - from, Reason: why[s].String()}, true
		}
	}
	if len(f.plan) == 0 {
		f.look()
	}
	if len(f.plan) == 0 || !f.plan[0].gap {
		return banger.LogChunk{}, false
	}
	e := f.plan[0]
	f.at[e.stream], f.plan = e.to, f.plan[1:]
	name, _ := streamName(e.stream)
	return banger.LogChunk{Stream: name, Offset: e.from, Gap: e.to - e.from, Reason: e.why.String()}, true
}

// Run returns how many bytes of which stream come next, 0 if there are none yet or
// what comes next is a gap.
func (f *Follower) Run() (banger.Stream, int) {
	if len(f.plan) == 0 {
		f.look()
	}
	if len(f.plan) == 0 || f.plan[0].gap {
		return "", 0
	}
	stream, _ := streamName(f.plan[0].stream)
	return stream, int(f.plan[0].to - f.plan[0].from)
}

// ErrGap says that what was to be read is not kept any more: see Gap.
var ErrGap = errors.New("output is not kept any more")

// Read reads all of p, which is no more than Run has returned, or fails with ErrGap.
func (f *Follower) Read(p []byte) error {
	e := &f.plan[0]
	if err := f.readLog(e.stream, p, e.from); err != nil {
		return err
	}
	if floors, _ := f.w.given(); floors[e.stream] > e.from { // it may have been zeros already
		return ErrGap
	}
	e.from += int64(len(p))
	f.at[e.stream] = e.from
	if e.from == e.to {
		f.plan = f.plan[1:]
	}
	return nil
}

// readLog reads all of p, which has been written, from a log.
func (f *Follower) readLog(stream int, p []byte, from int64) error {
	if n, err := f.w.logs[stream].ReadAt(p, from); n < len(p) {
		return fmt.Errorf("cannot read %s: %w", logName(stream), err)
	}
	return nil
}

// look makes the next plan. The journal is needed only where both streams continue, or
// something was lost ahead, which while a session is followed is seldom so.
func (f *Follower) look() {
	v, lost, untold := f.w.ahead(f.at)
	rest := v.untimed(f.at, v.size)
	switch {
	case len(rest) == 0:
		f.plan = untold
	case len(rest) == 1 && lost[rest[0].stream] <= rest[0].from:
		rest[0].to = min(rest[0].to, rest[0].from+planBytes)
		f.plan = rest
	default:
		f.plan, _ = v.page(f.at, planBytes, planExtents)
	}
}
