package shim

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/termmodes"
	"banger/sessionstream"
)

// terminal is the command's terminal as those who attach see it. Safe for
// concurrent use; a nil one does nothing.
type terminal struct {
	master *os.File

	mu    sync.Mutex // guards everything below
	size  banger.Window
	modes termmodes.Modes
}

func newTerminal(master *os.File, size banger.Window) *terminal {
	return &terminal{master: master, size: size}
}

// resize sets the size; the kernel tells the foreground processes, unless it is
// the same. A size of nothing is that of a client that has none.
func (t *terminal) resize(w banger.Window) {
	if t == nil || w.Rows == 0 || w.Cols == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	raw, err := t.master.SyscallConn()
	if err != nil {
		return // the session has ended
	}
	_ = raw.Control(func(fd uintptr) {
		if unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: w.Rows, Col: w.Cols}) == nil {
			t.size = w
		}
	})
}

// scan follows what the command writes.
func (t *terminal) scan(p []byte) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.modes.Scan(p)
}

func (t *terminal) describe() *sessionstream.Terminal {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return &sessionstream.Terminal{Window: t.size, Modes: t.modes.Private(), Keypad: t.modes.Keypad(), Setup: t.modes.Setup()}
}
