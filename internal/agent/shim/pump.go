package shim

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger"
)

const pumpBytes = 64 << 10

// maxTerminalBytes is more than a pseudo-terminal can hold unread (its buffers
// are limited to 640 KiB, drivers/tty/tty_buffer.c).
const maxTerminalBytes = 1 << 20

// pump carries the command's output streams to where they are kept. One goroutine reads
// all of them, that which had something first before the others: the kernel lists them so
// (epoll(7), edge-triggered). Two pipes hold no order of their own, so what is written to
// one, then to the other and to the first again before it is read loses it.
type pump struct {
	set     *os.File // the epoll instance of all streams
	raw     syscall.RawConn
	sources []*source
	keep    func(banger.Stream, []byte) // takes what was read
	over    atomic.Bool                 // finish has begun
	done    chan struct{}               // closed when run returns

	// The fields below belong to run, and after it to finish.
	ready  []*source
	events [2]unix.EpollEvent
	buffer [pumpBytes]byte // pages that were never used cost nothing
}

// source is one output stream.
type source struct {
	stream banger.Stream
	fd     int  // non-blocking, and not in the runtime's poller
	ready  bool // in the list of those
	ended  bool // nobody can write any more
	left   int  // how much finish reads at most
}

func newPump(keep func(banger.Stream, []byte)) (*pump, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &pump{keep: keep, done: make(chan struct{})}
	if p.set, err = nonblocking(fd, "output"); err != nil {
		return nil, err
	}
	if p.raw, err = p.set.SyscallConn(); err != nil {
		p.set.Close()
		return nil, err
	}
	return p, nil
}

// add takes over the descriptor of a stream, of which there are two at most; before run.
func (p *pump) add(stream banger.Stream, fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(len(p.sources))}
	var err error
	if ctlErr := p.raw.Control(func(set uintptr) { err = unix.EpollCtl(int(set), unix.EPOLL_CTL_ADD, fd, &event) }); ctlErr != nil {
		err = ctlErr
	}
	if err != nil {
		return fmt.Errorf("cannot wait for %s: %w", stream, err)
	}
	p.sources = append(p.sources, &source{stream: stream, fd: fd})
	return nil
}

// run carries bytes until all streams have ended or until finish.
func (p *pump) run() {
	defer close(p.done)
	for !p.allEnded() {
		waitErr := p.raw.Read(func(set uintptr) bool {
			p.collect(int(set))
			return len(p.ready) > 0
		})
		if waitErr != nil {
			return // finish
		}
		for len(p.ready) > 0 && !p.over.Load() {
			p.carryNext()
		}
	}
}

// finish keeps what is still to be read when the command and all that belongs to
// it are dead. It needs no time to wait: the bytes of the dead are all in the
// pipe, so when it is empty they have been read. It is bounded by what a pipe
// can hold, since a process beyond our reach may hold it open and write on.
func (p *pump) finish() {
	p.over.Store(true)
	p.set.SetReadDeadline(time.Now())
	<-p.done
	for _, s := range p.sources {
		s.left = capacity(s.fd)
	}
	_ = p.raw.Control(func(set uintptr) {
		p.collect(int(set))
		for _, s := range p.sources {
			p.list(s) // whatever has been reported of it
		}
		for len(p.ready) > 0 {
			if p.ready[0].left <= 0 {
				p.next()
				continue
			}
			p.carryNext()
		}
	})
	p.set.Close()
	for _, s := range p.sources {
		unix.Close(s.fd)
	}
}

func (p *pump) allEnded() bool {
	for _, s := range p.sources {
		if !s.ended {
			return false
		}
	}
	return true
}

// collect lists the streams that have got something since it was last called, in the
// order in which they did.
func (p *pump) collect(set int) {
	n, err := unix.EpollWait(set, p.events[:], 0)
	for err == unix.EINTR {
		n, err = unix.EpollWait(set, p.events[:], 0)
	}
	for _, event := range p.events[:max(n, 0)] {
		p.list(p.sources[event.Fd])
	}
}

// list puts a stream behind those that are ready.
func (p *pump) list(s *source) {
	if !s.ready && !s.ended {
		s.ready = true
		p.ready = append(p.ready, s)
	}
}

// next takes the stream off the list that became ready first.
func (p *pump) next() *source {
	s := p.ready[0]
	p.ready = append(p.ready[:0], p.ready[1:]...)
	s.ready = false
	return s
}

// carryNext carries at most one buffer of the stream that became ready first. One that may
// have more goes behind the others: a flood of one holds none of them up.
func (p *pump) carryNext() {
	s := p.next()
	n, err := unix.Read(s.fd, p.buffer[:])
	for err == unix.EINTR {
		n, err = unix.Read(s.fd, p.buffer[:])
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
	case n <= 0: // a terminal that no process has open any more gives EIO
		s.ended = true
	default:
		s.left -= n
		p.keep(s.stream, p.buffer[:n])
		// A short read is no sign that a stream is empty: a terminal gives a line at a time, a
		// pipe of packets (O_DIRECT, pipe(2)), which a command may make of its own, a packet.
		_ = p.raw.Control(func(set uintptr) { p.collect(int(set)) })
		p.list(s)
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
