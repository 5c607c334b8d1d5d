package cli

import (
	"sync"

	"banger/internal/screen"
	"banger/sessionstream"
)

// cropped is a viewer's terminal that is smaller than the session's: it shows a part of
// what that shows. Safe for concurrent use.
type cropped struct {
	terminal *terminal

	mu     sync.Mutex // guards window, and the order of what is painted
	window *screen.Window
}

// crop has output go through a window, if we are a viewer and our terminal is too small
// for the session's screen. It reports whether that is so.
func (a *attaching) crop(source screen.Source) (bool, error) {
	ours := a.window()
	if !a.view || ours == nil {
		return false, nil
	}
	window := source.Window(int(ours.Rows), int(ours.Cols))
	if window == nil {
		return false, nil
	}
	c := &cropped{terminal: a.terminal, window: window}
	a.out = c
	a.mu.Lock()
	a.cropped = c
	a.mu.Unlock()
	_, err := c.Write(nil)
	return true, err
}

// Write takes in what the session writes, and paints what of it can be seen.
func (c *cropped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.window.Write(p)
	if _, err := c.terminal.Write(c.window.Paint()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// resize paints again for another size of our terminal. What cannot be written then,
// the next Write says.
func (c *cropped) resize(w sessionstream.Window) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window.Resize(int(w.Rows), int(w.Cols))
	_, _ = c.terminal.Write(c.window.Paint())
}

// leave puts the cursor below the window.
func (c *cropped) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.terminal.Write(c.window.Leave())
}
