package shim

import (
	"bytes"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/emulator"
	"banger/internal/termmodes"
	"banger/internal/version"
	"banger/sessionstream"
)

// terminal is the command's terminal as those who attach see it. Safe for
// concurrent use; a nil one does nothing.
type terminal struct {
	master *os.File

	answers *answers

	mu    sync.Mutex // guards everything below, and that output is scanned and kept in one step
	size  banger.Window
	modes termmodes.Responder
	// attended says that a writer has a terminal of its own, which answers what the command
	// asks from the position live on; until the time, if that is set: its connection is lost.
	attended bool
	until    time.Time
	live     int64
}

func newTerminal(master *os.File, size banger.Window, in *stdin, l *logs) *terminal {
	t := &terminal{master: master, size: size}
	t.answers = &answers{stdin: in, cursor: func(at int64) (row, col int, ok bool) { return t.cursor(l, at) }}
	t.modes.Version = version.String()
	return t
}

// resize sets the size; the kernel notifies the foreground processes, unless it is
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

// take follows what the command writes, and has it kept. What the command asks is
// answered, unless the terminal of somebody who is attached gets it to answer.
func (t *terminal) take(p []byte, keep func()) {
	if t == nil {
		keep()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	asked := t.modes.Respond(p)
	keep()
	if len(asked) == 0 {
		return
	}
	if t.attended && !t.until.IsZero() && time.Now().After(t.until) {
		t.attended = false
	}
	if !t.attended {
		t.answers.add(asked)
	}
}

// maxBegun bounds the sequence that is not taken apart where somebody attaches.
const maxBegun = 4 << 10

// look describes the terminal as it is at a position, which is the end of stdout or the
// beginning of a sequence that is not complete there.
func (t *terminal) look(stdout func() int64) (described *sessionstream.Terminal, at int64) {
	if t == nil {
		return nil, stdout()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.describe(), t.position(stdout)
}

// position is where whoever comes now begins. The caller holds mu.
func (t *terminal) position(stdout func() int64) int64 {
	at := stdout()
	if begun := t.modes.Pending(); begun <= min(at, maxBegun) {
		at -= begun
	}
	return at
}

// attend is look for a writer: has says that it has a terminal, which from the position
// live on answers what the command asks, and again that it is the same writer as before.
func (t *terminal) attend(has, again bool, stdout func() int64) (described *sessionstream.Terminal, at int64, live *sessionstream.Live) {
	if t == nil {
		return nil, stdout(), nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at = t.position(stdout)
	if !t.attended || !again {
		t.live = at
	}
	if t.attended, t.until = has, (time.Time{}); has {
		live = &sessionstream.Live{Stdout: t.live}
	}
	return t.describe(), at, live
}

// unattend notes that the writer has gone: for good, or until a time.
func (t *terminal) unattend(until time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.until = until; until.IsZero() {
		t.attended = false
	}
}

// cursor returns where the cursor was when the command had written so much: what it has
// written last is emulated for that, which costs nothing until somebody asks.
func (t *terminal) cursor(l *logs, at int64) (row, col int, ok bool) {
	t.mu.Lock()
	size := t.size
	t.mu.Unlock()
	begin := max(0, at-cursorBytes)
	output, err := l.stdout(begin, at)
	if err != nil {
		return 0, 0, false
	}
	return cursorBehind(output, begin == 0, size)
}

// cursorBehind emulates output, which begun says is all there is. It reports false if
// that fails: output may be anything.
func cursorBehind(output []byte, begun bool, size banger.Window) (row, col int, ok bool) {
	defer func() {
		if recover() != nil {
			row, col, ok = 0, 0, false
		}
	}()
	if !emulator.Fits(int(size.Rows), int(size.Cols)) {
		return 0, 0, false
	}
	t := emulator.New(int(size.Rows), int(size.Cols))
	if !begun {
		t.Forget()
		if i := bytes.IndexByte(output, '\n'); i >= 0 { // not in the middle of a sequence
			output = output[i:]
		}
	}
	_, _ = t.Write(output)
	row, col = t.ReportedCursor()
	return row, col, true
}

// finish returns when nothing more is answered. stdin must have been shut down.
func (t *terminal) finish() {
	if t != nil {
		t.answers.typing.Wait()
	}
}

// describe describes the terminal; the caller holds mu.
func (t *terminal) describe() *sessionstream.Terminal {
	return &sessionstream.Terminal{Window: t.size, Modes: t.modes.Private(), Keypad: t.modes.Keypad(), Setup: t.modes.Setup()}
}
