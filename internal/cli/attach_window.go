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
