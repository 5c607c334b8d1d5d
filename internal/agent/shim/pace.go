package shim

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A stream is busy if busyBytes of it come within busyTime.
const (
	busyBytes = 64 << 10
	busyTime  = 2 * time.Millisecond
)

// What a busy stream gets: a pipe that holds all that may come while the pump rests.
const (
	busyPipe = 1 << 20
	rest     = time.Millisecond
)

// pace saves the CPU from a busy stream. A pump is faster than most commands, so it would
// be woken for each few kilobytes, which costs more than to keep them. A busy stream is
// left alone for a moment instead, until there is more. A stream whose pipe cannot be
// made large enough for that, such as a terminal, is never busy.
type pace struct {
	since  time.Time
	moved  int
	fitted bool // busyPipe has been asked for,
	fits   bool // and that was granted
}

// note counts bytes that have been moved.
func (p *pace) note(n int) { p.moved += n }

// empty is called when nothing is left to be moved. It rests if the stream is busy, and
// reports whether it did.
func (p *pace) empty(fd int) (rested bool) {
	now := time.Now()
	if rested = p.moved >= busyBytes && now.Sub(p.since) <= busyTime && p.fit(fd); rested {
		takeRest()
		now = time.Now()
	}
	if rested || now.Sub(p.since) > busyTime {
		p.since, p.moved = now, 0
	}
	return rested
}

// takeRest does nothing for a while. It blocks the thread: one that waited as goroutines
// do would be woken by each byte that comes. Others get their turn first.
func takeRest() {
	runtime.Gosched()
	t := unix.NsecToTimespec(int64(rest))
	_ = unix.Nanosleep(&t, nil) // a signal shortens it
}

// fit makes the pipe a large one, once: fcntl(2), F_SETPIPE_SZ. An ordinary user has
// only so many of them.
func (p *pace) fit(fd int) bool {
	if !p.fitted {
		p.fitted = true
		size, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, busyPipe)
		p.fits = err == nil && size >= busyPipe
	}
	return p.fits
}
