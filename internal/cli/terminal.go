package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"banger/internal/termmodes"
	"banger/sessionstream"
)

// terminal is the user's own, lent to a session: raw, and given back as it was on
// every way out. Write may be used beside the other methods.
type terminal struct {
	in     *os.File  // the user's keyboard
	keys   bool      // it is lent, too; else its keys have their usual effects, such as signals
	out    io.Writer // where the session's output goes
	screen *os.File  // what that is, if it is a terminal; nil if somebody else shows it

	mu    sync.Mutex      // guards everything below
	lent  bool            // it has not been given back
	saved *unix.Termios   // as it was before; nil while it is not raw
	modes termmodes.Modes // that the session has set
}

// userTerminal returns the terminal that in is, nil if it is none. As with ssh -t and
// docker, its keys belong to the session wherever the output goes: behind a pipe
// (attach | tee log) the user types to the program all the same.
func userTerminal(in io.Reader, out io.Writer) *terminal {
	keys := terminalFile(in)
	if keys == nil {
		return nil
	}
	t := &terminal{in: keys, keys: true, out: out, screen: terminalFile(out)}
	if t.screen != nil {
		t.out = t.screen
	}
	return t
}

// hasKeys reports whether the keyboard is lent, or will be.
func (t *terminal) hasKeys() bool { return t != nil && t.keys }

// lend gives the terminal to the session: every key is a byte for it, if the keyboard is
// lent, too.
func (t *terminal) lend() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lent = true; !t.keys || t.saved != nil {
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

// restore gives it back to the user, with everything taken back that the session has
// changed. Keys that were typed ahead were for the session: they are dropped, and counted.
// Once is enough; more do no harm.
func (t *terminal) restore() (dropped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.lent {
		return 0
	}
	if back := t.modes.Reset(); len(back) > 0 {
		_, _ = t.device().Write(back)
	}
	if t.saved != nil {
		dropped, _ = unix.IoctlGetInt(int(t.in.Fd()), unix.TIOCINQ)
		_ = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETSF, t.saved)
	}
	t.lent, t.saved, t.modes = false, nil, termmodes.Modes{}
	return dropped
}

// device is the terminal itself: what takes its state back is for it, and not a part of
// the output that goes elsewhere.
func (t *terminal) device() *os.File {
	if t.screen != nil {
		return t.screen
	}
	return t.in
}

// Write implements io.Writer, for what the session writes. Before the first title it has
// the terminal keep its own.
func (t *terminal) Write(p []byte) (int, error) {
	written := 0
	for {
		t.mu.Lock()
		next := t.modes.BeforeTitle(p[written:])
		t.modes.Scan(p[written : written+next])
		if at := written + next; at < len(p) {
			t.modes.Scan([]byte(termmodes.PushTitles))
		}
		t.mu.Unlock() // the terminal may be stopped, which must not hold restore up
		n, err := t.out.Write(p[written : written+next])
		if written += n; err != nil || written == len(p) {
			return written, err
		}
		if _, err := t.device().Write([]byte(termmodes.PushTitles)); err != nil {
			return written, err
		}
	}
}

// window returns the size, nil if there is no terminal, or it does not know its size.
func (t *terminal) window() *sessionstream.Window {
	if t == nil {
		return nil
	}
	cols, rows, err := term.GetSize(int(t.device().Fd()))
	if err != nil || cols < 1 || rows < 1 || cols > 0xffff || rows > 0xffff {
		return nil
	}
	return &sessionstream.Window{Rows: uint16(rows), Cols: uint16(cols)}
}

// typedWithin reports whether something can be read within a time.
func (t *terminal) typedWithin(limit time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(t.in.Fd()), Events: unix.POLLIN}}
	for deadline := time.Now().Add(limit); ; {
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
		if err != unix.EINTR {
			return n != 0
		}
	}
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
