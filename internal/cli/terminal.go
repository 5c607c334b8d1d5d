package cli

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"banger/internal/screen"
	"banger/internal/termmodes"
	"banger/sessionstream"
)

// terminal is the user's own, lent to a session: raw, and given back as it was on
// every way out. Write may be used beside the other methods.
type terminal struct {
	in, out *os.File

	mu    sync.Mutex      // guards everything below
	saved *unix.Termios   // as it was before; nil while it is not raw
	modes termmodes.Modes // that the session has set
}

// userTerminal returns the terminal that in and out are, nil if they are not both one.
func userTerminal(in io.Reader, out io.Writer) *terminal {
	keys, screen := terminalFile(in), terminalFile(out)
	if keys == nil || screen == nil {
		return nil
	}
	return &terminal{in: keys, out: screen}
}

// makeRaw gives the terminal to the session: every key is a byte for it.
func (t *terminal) makeRaw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved != nil {
		return nil
	}
	saved, err := unix.IoctlGetTermios(int(t.in.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	if _, err := term.MakeRaw(int(t.in.Fd())); err != nil {
		return err
	}
	t.saved = saved
	return nil
}

// restore gives it back to the user. Once is enough; more do no harm.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved == nil {
		return
	}
	_, _ = t.out.Write(screen.Leave(&t.modes))
	_ = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETSF, t.saved) // keys typed ahead were for the session
	t.saved, t.modes = nil, termmodes.Modes{}
}

// Write implements io.Writer, for what the session writes.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.modes.Scan(p)
	t.mu.Unlock() // the terminal may be stopped, which must not hold restore up
	return t.out.Write(p)
}

// window returns the size, and false if the terminal does not know it.
func (t *terminal) window() (sessionstream.Window, bool) {
	cols, rows, err := term.GetSize(int(t.out.Fd()))
	if err != nil || cols < 1 || rows < 1 || cols > 0xffff || rows > 0xffff {
		return sessionstream.Window{}, false
	}
	return sessionstream.Window{Rows: uint16(rows), Cols: uint16(cols)}, true
}

// guard is deferred by every goroutine that runs while the terminal is lent: a
// panic must not leave the user with a terminal that shows nothing.
func (t *terminal) guard() {
	if r := recover(); r != nil {
		if t != nil {
			t.restore()
		}
		panic(r)
	}
}
