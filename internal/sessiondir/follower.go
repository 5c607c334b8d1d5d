package sessiondir

import (
	"errors"

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
		return nil, banger.Errorf(banger.CodeInvalid, "cannot read output at %+v: there are %d bytes of stdout and %d of stderr", from, size[stdout], size[stderr])
	}
	return f, nil
}

// At returns the position of what comes next.
func (f *Follower) At() banger.LogCursor {
	return banger.LogCursor{Stdout: f.at[stdout], Stderr: f.at[stderr]}
}

// Pending reports whether there is something to read.
func (f *Follower) Pending() bool { return f.at != f.w.sizes() }

// Gap skips what comes next and is not kept any more; its To is 0 if there is
// nothing such.
func (f *Follower) Gap() (stream banger.Stream, from, to int64) {
	for s, floor := range f.w.floors() {
		if from := f.at[s]; from < floor {
			f.at[s], f.plan = floor, nil
			name, _ := streamName(s)
			return name, from, floor
		}
	}
	return "", 0, 0
}

// Run returns how many bytes of which stream come next, 0 if there are none yet.
func (f *Follower) Run() (banger.Stream, int) {
	if len(f.plan) == 0 {
		f.look()
	}
	if len(f.plan) == 0 {
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
	if err := f.w.readLog(e.stream, p, e.from); err != nil {
		return err
	}
	if f.w.floors()[e.stream] > e.from { // it may have been zeros already
		return ErrGap
	}
	e.from += int64(len(p))
	f.at[e.stream] = e.from
	if e.from == e.to {
		f.plan = f.plan[1:]
	}
	return nil
}

// look makes the next plan. The journal is needed only where both streams go on,
// which while a session is followed is seldom so.
func (f *Follower) look() {
	v := f.w.view()
	switch rest := untimed(f.at, v.size); len(rest) {
	case 0:
		f.plan = nil
	case 1:
		rest[0].to = min(rest[0].to, rest[0].from+planBytes)
		f.plan = rest
	default:
		f.plan, _ = v.page(f.at, planBytes, planExtents)
	}
}
