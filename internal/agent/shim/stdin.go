package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/sessionstream"
)

// stdin is the writing end of the command's standard input. A byte is accepted
// when the kernel has taken it, and never before or after. One goroutine at a time
// writes; the rest is safe for concurrent use.
type stdin struct {
	file *os.File // non-blocking
	raw  syscall.RawConn
	tty  bool
	logs *logs
	// onClosed is called when closed has become true.
	onClosed func()

	offset atomic.Int64 // bytes accepted
	closed atomic.Bool  // by an end-of-file or by the command
	over   atomic.Bool  // the session has ended

	writing sync.Mutex // held while writing; guards what follows
	last    byte       // the last byte accepted
	line    line       // what a terminal holds
}

func newStdin(file *os.File, tty bool, l *logs, onClosed func()) (*stdin, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &stdin{file: file, raw: raw, tty: tty, logs: l, onClosed: onClosed}, nil
}

// write feeds p. It blocks while the command does not read, until ctx ends; what
// was accepted by then counts. What a terminal in line mode would drop is refused, unless
// rawLine is set. Errors of the protocol are *sessionstream.Error.
func (s *stdin) write(ctx context.Context, p []byte, rawLine bool) error {
	return s.tellClosed(func() error { return s.writeAll(ctx, p, rawLine) })
}

func (s *stdin) writeAll(ctx context.Context, p []byte, rawLine bool) error {
	if s.closed.Load() {
		return s.refuse(sessionstream.CodeClosed, "stdin is closed")
	}
	if s.over.Load() {
		return s.refuse(sessionstream.CodeClosed, "the session has ended")
	}
	restore := s.cutWhenDone(ctx)
	defer restore()
	for len(p) > 0 {
		n, err := s.writeOnce(p, rawLine)
		if n > 0 {
			s.last = p[n-1]
			s.offset.Add(int64(n))
			s.logs.acceptStdin(n)
			p = p[n:]
		}
		if err != nil {
			return s.failed(ctx, err)
		}
	}
	return nil
}

// errLineFull says that a terminal in line mode takes no more of a line.
var errLineFull = fmt.Errorf("the terminal is in line mode and holds no more than %d bytes of a line", maxLine)

// writeOnce waits until the command's stdin takes something, and gives it once. When it is
// to wait no more, what stdin takes at once is given all the same.
func (s *stdin) writeOnce(p []byte, rawLine bool) (n int, err error) {
	waitErr := s.raw.Write(func(fd uintptr) bool {
		n, err = s.tryWrite(int(fd), p, rawLine)
		return !errors.Is(err, unix.EAGAIN)
	})
	if errors.Is(waitErr, os.ErrDeadlineExceeded) {
		if closed := s.raw.Control(func(fd uintptr) { n, err = s.tryWrite(int(fd), p, rawLine) }); closed != nil {
			return 0, closed
		}
		waitErr = nil
	}
	if waitErr != nil {
		return 0, waitErr
	}
	return max(n, 0), err
}

// tryWrite gives the command's stdin what it takes now.
func (s *stdin) tryWrite(fd int, p []byte, rawLine bool) (n int, err error) {
	var mode *unix.Termios
	if s.tty {
		if mode, err = unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			return 0, err
		}
		if !rawLine {
			if p = p[:s.line.fits(mode, p)]; len(p) == 0 {
				return 0, errLineFull
			}
		}
	}
	for n, err = unix.Write(fd, p); err == unix.EINTR; {
		n, err = unix.Write(fd, p)
	}
	if mode != nil && n > 0 {
		s.line.follow(mode, p[:n])
	}
	return n, err
}

// cutWhenDone makes a blocked write end when ctx does. The function that it
// returns makes writing possible again.
func (s *stdin) cutWhenDone(ctx context.Context) (restore func()) {
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.file.SetWriteDeadline(time.Now())
		close(cut)
	})
	return func() {
		if !stop() {
			<-cut
			s.file.SetWriteDeadline(time.Time{})
		}
	}
}

// failed explains why a write ended early.
func (s *stdin) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.over.Load() {
		return s.refuse(sessionstream.CodeClosed, "the session has ended")
	}
	if errors.Is(err, errLineFull) {
		return s.refuse(sessionstream.CodeLine, "%v: the rest of this one was not accepted", err)
	}
	// EPIPE of a pipe and EIO of a terminal: nobody has the other end any more.
	s.closed.Store(true)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EIO) {
		return s.refuse(sessionstream.CodeClosed, "the command has closed its stdin")
	}
	return s.refuse(sessionstream.CodeIO, "cannot write to the command's stdin: %v", err)
}

// end closes stdin at a position; nil means the end of what is accepted. To do
// so again is not an error.
func (s *stdin) end(ctx context.Context, at *int64) error {
	return s.tellClosed(func() error { return s.endAt(ctx, at) })
}

func (s *stdin) endAt(ctx context.Context, at *int64) error {
	if accepted := s.offset.Load(); at != nil && *at != accepted {
		return s.refuse(sessionstream.CodeOffset, "stdin stands at %d, not at %d", accepted, *at)
	}
	if s.closed.Load() {
		return nil
	}
	if s.over.Load() {
		return s.refuse(sessionstream.CodeClosed, "the session has ended")
	}
	if s.tty {
		if err := s.typeEOF(ctx); err != nil {
			return err
		}
	} else {
		s.file.Close()
	}
	s.closed.Store(true)
	s.logs.closeStdin()
	return nil
}

// typeEOF types the terminal's end-of-file character (VEOF, termios(3)). Within
// a line the first one only ends the line, so it takes two.
func (s *stdin) typeEOF(ctx context.Context) error {
	mode, err := s.mode()
	if err != nil {
		return s.refuse(sessionstream.CodeIO, "cannot read the terminal's mode: %v", err)
	}
	if mode.Lflag&unix.ICANON == 0 {
		return s.refuse(sessionstream.CodeUnsupported, "the terminal is in raw mode, which has no end-of-file")
	}
	eof := []byte{mode.Cc[unix.VEOF]}
	if s.offset.Load() > 0 && s.last != '\n' && s.last != '\r' && s.last != eof[0] {
		eof = append(eof, eof...)
	}
	restore := s.cutWhenDone(ctx)
	defer restore()
	for len(eof) > 0 {
		n, err := s.writeOnce(eof, true)
		if err != nil {
			return s.failed(ctx, err)
		}
		eof = eof[n:]
	}
	return nil
}

// A command that asks its terminal reads the answer key by key. Some, as read -d of bash,
// turn to that only when they have asked; the kernel notifies nobody, so it is looked at again.
const (
	keysWithin = 500 * time.Millisecond
	keysEvery  = 10 * time.Millisecond
)

// awaitKeys waits until the terminal gives each key to the command, and reports whether it
// does. On one in line mode nobody waits for an answer: there it would only become a part
// of the next line, and take effect.
func (s *stdin) awaitKeys() bool {
	for end := time.Now().Add(keysWithin); !s.readsKeys(); {
		if s.over.Load() || time.Now().After(end) {
			return false
		}
		<-time.After(keysEvery)
	}
	return true
}

// answer types what a terminal answers. It is nobody's stdin, so it is not counted. What
// the terminal does not take at once is dropped.
func (s *stdin) answer(p []byte) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.raw.Write(func(fd uintptr) bool {
		_, _ = unix.Write(int(fd), p)
		return true
	})
}

// readsKeys reports whether the terminal gives each key to the command, not whole lines.
func (s *stdin) readsKeys() bool {
	mode, err := s.mode()
	return err == nil && mode.Lflag&unix.ICANON == 0
}

// mode returns how the terminal is set; termios(3).
func (s *stdin) mode() (mode *unix.Termios, err error) {
	if closed := s.raw.Control(func(fd uintptr) { mode, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) }); closed != nil {
		return nil, closed
	}
	return mode, err
}

// shutdown ends all writing and returns when the offset is final.
func (s *stdin) shutdown() {
	s.over.Store(true)
	s.file.Close() // a blocked write ends
	s.writing.Lock()
	defer s.writing.Unlock()
}

// tellClosed runs do, which writes, and reports it if that found or made stdin closed.
func (s *stdin) tellClosed(do func() error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	wasClosed := s.closed.Load()
	err := do()
	if !wasClosed && s.closed.Load() {
		s.onClosed()
	}
	return err
}

func (s *stdin) refuse(code sessionstream.ErrorCode, format string, args ...any) *sessionstream.Error {
	offset := s.offset.Load()
	return &sessionstream.Error{Code: code, Text: fmt.Sprintf(format, args...), Offset: &offset}
}

// count fills in what stdin knows of the state.
func (s *stdin) count(st *banger.SessionState) {
	st.StdinOffset = s.offset.Load()
	st.StdinEOF = s.closed.Load()
}
