package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"banger"
	"banger/internal/screen"
	"banger/internal/termmodes"
	"banger/sessionstream"
)

// window is the size of our terminal, if it is lent.
func (a *attaching) window() *sessionstream.Window {
	if a.terminal == nil {
		return nil
	}
	if w, ok := a.terminal.window(); ok {
		return &w
	}
	return nil
}

// paint makes our terminal show what the session's shows at the moment at which
// its output begins.
func (a *attaching) paint(ctx context.Context) error {
	attached := a.attachment.Attached()
	if a.terminal == nil || a.terminal.screen == nil || attached.Terminal == nil || a.rawReplay || a.from != nil {
		return nil
	}
	at := attached.Output.Stdout
	begin := max(0, at-screen.ReplayBytes)
	output := make([]byte, 0, at-begin)
	_, err := a.Backend.Services().Streams.ReadLogs(ctx, string(a.session.VMID), string(a.session.ID),
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
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("cannot paint the screen of session %q: %w", a.session.Name, err)
	}
	t := attached.Terminal
	modes := modesOf(t)
	source := screen.Source{
		Rows: int(t.Window.Rows), Cols: int(t.Window.Cols), Modes: modes,
		Output: output, Begun: begin == 0,
	}
	if w := a.window(); w != nil && (!a.view || a.takeover) { // the session's terminal gets our size
		source.ShowRows, source.ShowCols = int(w.Rows), int(w.Cols)
	} else if cropped, err := a.crop(source); cropped || err != nil {
		return err
	}
	painted, complete := source.Paint()
	if _, err := a.terminal.Write(append(modes.SetOther(), painted...)); err != nil {
		return fmt.Errorf("cannot paint the screen: %w", err)
	}
	if !complete && a.isWriting() {
		a.askToPaint()
	}
	return nil
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

// askToPaint has the program paint its screen itself: it does so when the size of
// its terminal changes, and so it is changed for a moment; ioctl_tty(2), SIGWINCH.
func (a *attaching) askToPaint() {
	w := a.window()
	if w == nil {
		return
	}
	other := *w
	other.Rows = max(1, other.Rows-1)
	if other == *w {
		other.Rows++
	}
	a.attachment.Resize(other)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.repaint = time.AfterFunc(repaintAfter, a.resize)
}

func (a *attaching) resize() {
	w := a.window()
	if w == nil {
		return
	}
	a.mu.Lock()
	writing, cropped := a.writing, a.cropped
	a.mu.Unlock()
	if writing {
		a.current().Resize(*w)
	}
	if cropped != nil {
		cropped.resize(*w)
	}
}
