package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"banger"
	"banger/internal/screen"
	"banger/internal/termmodes"
	"banger/sessionstream"
)

// repaintAfter is when a program is asked the second time to paint its screen.
const repaintAfter = 200 * time.Millisecond

// picture is what our terminal shows of the session's in a round. Safe for concurrent use.
type picture struct {
	round *round

	mu      sync.Mutex  // guards everything below
	repaint *time.Timer // until the program is asked a second time to paint
	cropped *cropped    // what output goes through, if our terminal is too small for it
}

// paint makes our terminal show what the session's shows at the moment at which
// its output begins.
func (p *picture) paint(ctx context.Context) error {
	r := p.round
	attached := r.attachment.Attached()
	if r.terminal == nil || r.terminal.screen == nil || attached.Terminal == nil || r.rawReplay || r.from != nil {
		return nil
	}
	begin, output, err := r.recentOutput(ctx, attached.Output.Stdout)
	if err != nil {
		return fmt.Errorf("cannot paint the screen of session %q: %w", r.session.Name, err)
	}
	t := attached.Terminal
	modes := modesOf(t)
	source := screen.Source{
		Rows: int(t.Window.Rows), Cols: int(t.Window.Cols), Modes: modes,
		Output: output, Begun: begin == 0,
	}
	if w := r.terminal.window(); w != nil && (!r.view || r.takeover) { // the session's terminal gets our size
		source.ShowRows, source.ShowCols = int(w.Rows), int(w.Cols)
	} else if cropped, err := p.crop(source); cropped || err != nil {
		return err
	}
	painted, complete := source.Paint()
	if _, err := r.terminal.Write(append(modes.SetOther(), painted...)); err != nil {
		return fmt.Errorf("cannot paint the screen: %w", err)
	}
	if !complete && r.isWriting() {
		p.askToPaint()
	}
	return nil
}

// recentOutput returns what the session has written to stdout up to a position, as much as
// a screen is painted from, and the position at which that begins.
func (a *attaching) recentOutput(ctx context.Context, at int64) (begin int64, output []byte, err error) {
	begin = max(0, at-screen.ReplayBytes)
	output = make([]byte, 0, at-begin)
	_, err = a.Backend.Services().Streams.ReadLogs(ctx, string(a.session.VMID), string(a.session.ID),
		banger.LogRequest{Stream: banger.StreamStdout, Cursor: &banger.LogCursor{Stdout: begin}},
		func(c banger.LogChunk) error {
			if c.Gap > 0 {
				begin, output = c.Offset+c.Gap, output[:0]
			}
			if begin >= at { // the program has written more than is kept since
				return errEnough
			}
			output = append(output, c.Data[:min(int64(len(c.Data)), at-c.Offset)]...)
			if begin+int64(len(output)) >= at {
				return errEnough
			}
			return nil
		})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return begin, output, err
}

var errEnough = errors.New("enough was read")

// modesOf returns the state of a session's terminal. An older shim reports less of it.
func modesOf(t *sessionstream.Terminal) *termmodes.Modes {
	if t.Setup == nil {
		return termmodes.Of(t.Modes, t.Keypad)
	}
	m := &termmodes.Modes{}
	m.Scan(t.Setup)
	return m
}

// crop has output go through a window, if we are a viewer and our terminal is too small
// for the session's screen. It reports whether that is so.
func (p *picture) crop(source screen.Source) (bool, error) {
	r := p.round
	ours := r.terminal.window()
	if !r.view || ours == nil {
		return false, nil
	}
	window := source.Window(int(ours.Rows), int(ours.Cols))
	if window == nil {
		return false, nil
	}
	c := &cropped{terminal: r.terminal, window: window}
	r.output.out = c
	p.mu.Lock()
	p.cropped = c
	p.mu.Unlock()
	_, err := c.Write(nil)
	return true, err
}

// askToPaint has the program paint its screen itself: it does so when the size of
// its terminal changes, and so it is changed for a moment; ioctl_tty(2), SIGWINCH.
func (p *picture) askToPaint() {
	w := p.round.terminal.window()
	if w == nil {
		return
	}
	other := *w
	other.Rows = max(1, other.Rows-1)
	if other == *w {
		other.Rows++
	}
	p.round.attachment.Resize(other)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.repaint = time.AfterFunc(repaintAfter, p.resize)
}

// resize follows our terminal's size.
func (p *picture) resize() {
	w := p.round.terminal.window()
	if w == nil {
		return
	}
	if p.round.isWriting() {
		p.round.attachment.Resize(*w)
	}
	if c := p.part(); c != nil {
		c.resize(*w)
	}
}

// part is what output goes through, nil if our terminal shows the whole screen.
func (p *picture) part() *cropped {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cropped
}

// leave puts the cursor below what is shown of the session's terminal.
func (p *picture) leave() {
	if c := p.part(); c != nil {
		c.leave()
	}
}

// stop has the program not be asked again.
func (p *picture) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.repaint != nil {
		p.repaint.Stop()
	}
}
