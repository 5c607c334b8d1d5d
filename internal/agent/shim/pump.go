package shim

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger"
)

const pumpBytes = 64 << 10

// maxTerminalBytes is more than a pseudo-terminal can hold unread (its buffers
// are limited to 640 KiB, drivers/tty/tty_buffer.c).
const maxTerminalBytes = 1 << 20

// buffer is shared by the pumps: it is only needed while bytes move, and pages
// that were never used cost nothing.
type buffer struct {
	mu    sync.Mutex // guards bytes
	bytes [pumpBytes]byte
}

// pump carries one output stream of the command to where it is kept.
type pump struct {
	stream banger.Stream
	file   *os.File // non-blocking
	raw    syscall.RawConn
	buffer *buffer
	keep   func(banger.Stream, []byte) // takes what was read
	atEnd  bool                        // nobody can write any more; guarded by done
	done   chan struct{}               // closed when run returns
}

func newPump(stream banger.Stream, file *os.File, b *buffer, keep func(banger.Stream, []byte)) (*pump, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &pump{stream: stream, file: file, raw: raw, buffer: b, keep: keep, done: make(chan struct{})}, nil
}

// run carries bytes until the stream's end or until finish.
func (p *pump) run() {
	defer close(p.done)
	for {
		var n int
		var err error
		waitErr := p.raw.Read(func(fd uintptr) bool {
			n, err = p.move(int(fd))
			return !errors.Is(err, unix.EAGAIN)
		})
		if waitErr != nil {
			return // finish
		}
		if n == 0 {
			p.atEnd = true
			return
		}
	}
}

// finish keeps what is still to be read when the command and all that belongs to
// it are dead. It needs no time to wait: the bytes of the dead are all in the
// pipe, so when it is empty they have been read. It is bounded by what a pipe
// can hold, since a process beyond our reach may hold it open and write on.
func (p *pump) finish() {
	p.file.SetReadDeadline(time.Now())
	<-p.done
	if !p.atEnd {
		_ = p.raw.Control(func(fd uintptr) {
			for left := capacity(int(fd)); left > 0; {
				n, _ := p.move(int(fd))
				if n == 0 {
					return
				}
				left -= n
			}
		})
	}
	p.file.Close()
}

// move carries at most one buffer; 0 bytes without EAGAIN are the end.
func (p *pump) move(fd int) (int, error) {
	p.buffer.mu.Lock()
	defer p.buffer.mu.Unlock()
	for {
		n, err := unix.Read(fd, p.buffer.bytes[:])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			// A terminal that no process has open any more gives EIO.
			return 0, err
		}
		p.keep(p.stream, p.buffer.bytes[:n])
		return n, nil
	}
}

// capacity is how many bytes may wait in a pipe or a terminal.
func capacity(fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		return maxTerminalBytes
	}
	return n
}
