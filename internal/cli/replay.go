package cli

import (
	"io"
	"math"

	"banger"
	"banger/internal/termmodes"
	"banger/sessionstream"
)

// replay makes an attachment's output fit for a terminal. Up to where it became live,
// output is old: it draws, and has no other effect a second time. What is live passes
// as it is. The position comes from whoever serves the session, so that each question of
// the program is answered once: by this terminal, or before.
type replay struct {
	stdout, stderr termmodes.Quiet
	live           banger.LogCursor
}

// newReplay begins behind what attached says. told says that a Live follows, and that
// all is old until then.
func newReplay(attached sessionstream.Attached, told bool) *replay {
	r := &replay{live: banger.LogCursor{Stdout: attached.State.StdoutBytes, Stderr: attached.State.StderrBytes}}
	if told || attached.State.Status.Ended() {
		r.live = banger.LogCursor{Stdout: math.MaxInt64, Stderr: math.MaxInt64}
	}
	return r
}

// filter returns what of a piece of output is written to the terminal.
func (r *replay) filter(m sessionstream.Message) []byte {
	quiet, live := &r.stdout, r.live.Stdout
	if m.Stream == banger.StreamStderr {
		quiet, live = &r.stderr, r.live.Stderr
	}
	old := int(min(max(0, live-m.Offset), int64(len(m.Data))))
	if old == len(m.Data) {
		return quiet.Filter(m.Data)
	}
	var out []byte
	if old > 0 {
		out = quiet.Filter(m.Data[:old])
	}
	if out = append(out, quiet.Rest()...); len(out) == 0 {
		return m.Data
	}
	return append(out, m.Data[old:]...)
}

// oldOutput is a terminal that is shown what a guest has written some time.
type oldOutput struct {
	to    io.Writer
	quiet termmodes.Quiet
}

// Write implements io.Writer.
func (o *oldOutput) Write(p []byte) (int, error) {
	if _, err := o.to.Write(o.quiet.Filter(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// liveOutput is guestOutput for an attachment, which knows what is old. Colours pass.
func liveOutput(w io.Writer, raw bool) io.Writer {
	switch out := guestOutput(w, raw).(type) {
	case *oldOutput:
		return out.to
	case *display:
		return colourful{out}
	}
	return w
}
