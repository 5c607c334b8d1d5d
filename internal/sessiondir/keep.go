package sessiondir

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"banger"
)

// trimShare is which part of what it may keep a log is shortened by at once, trimMost
// the most that is given up so before the limit asks for it, fsBlock what file systems
// can give back.
const (
	trimShare = 8
	trimMost  = 256 << 10
	fsBlock   = 4096
)

// The journal has at least minJournal bytes, and more if the output that is kept has
// journalShare times as many, before the times of what is kept are given up with it.
const (
	minJournal   = 1 << 20
	journalShare = 32
)

// trim gives up the oldest bytes of a log that keeps more than it may.
func (w *Writer) trim(i int, now time.Time) (over bool, err error) {
	keep, why, step := w.limit, becauseLimit, w.limit/trimShare
	if w.room.due {
		w.room.look(w.logs[i], position{w.stored(stdout).bytes(), w.stored(stderr).bytes()})
	}
	if most := w.room.most[i]; most > 0 && (keep <= 0 || most < keep) {
		keep, why, step = most, becauseReserve, min(most/trimShare, trimMost)
	}
	if keep <= 0 {
		return false, nil
	}
	kept := w.stored(i).bytes()
	if kept <= keep {
		return false, nil
	}
	if err := w.giveUp(i, kept-keep+step, why, now); err != nil {
		return false, err
	}
	return true, nil
}

// makeRoom gives up old output of a log for n bytes that the full disk did not take. It
// reports whether it could.
func (w *Writer) makeRoom(i int, n int64, now time.Time) bool {
	w.mu.Lock()
	kept := w.stored(i).bytes()
	n = min(max(n, min(kept/trimShare, trimMost)), kept-fsBlock-banger.MinLogLimit)
	ok := n > 0 && w.giveUp(i, n, becauseFull, now) == nil
	if ok { // and it does not grow before there is room
		w.room.most[i] = max(kept, leastKept)
	}
	w.mu.Unlock()
	return ok && w.punch(i) == nil
}

// stored is what the disk has of a log.
func (w *Writer) stored(i int) stored {
	return stored{file: w.logs[i], size: *w.journal.at.stream(i), floor: w.journal.floor[i], lost: w.journal.losses[i].end}
}

// giveUp gives up the oldest n bytes of what is kept of a log, and with them the
// journal's blocks that have nothing else.
func (w *Writer) giveUp(i int, n int64, why reasons, now time.Time) error {
	floor := (w.stored(i).behind(n) + fsBlock - 1) / fsBlock * fsBlock
	if err := w.journal.discard(i, floor, why, now); err != nil {
		return err
	}
	kept := w.stored(stdout).bytes() + w.stored(stderr).bytes()
	if first := w.journal.needed(w.look(), kept); first > w.journal.first {
		return w.journal.shorten(first, now)
	}
	return nil
}

// needed returns the first block of the journal that has something to say of what is
// kept; of a journal that is too long, of what is kept of the one stream. v is a look at
// it, and kept how many bytes of output there are.
func (j *journalWriter) needed(v *view, kept int64) int64 {
	first := j.first
	at := func(p position) {
		if b, ok := v.find(p); ok {
			first = max(first, b.index)
		}
	}
	at(j.floor)
	most := max(minJournal, kept/journalShare) / blockBytes
	if v.blocks-first > most {
		for s := range j.floor {
			p := v.size
			p[s] = j.floor[s]
			at(p)
		}
		first = min(first, v.blocks-most)
	}
	for s, l := range j.losses {
		if l.end <= j.floor[s] {
			continue
		}
		// No hole without its record: that is in none of the blocks before the floor's,
		// nor before that of the first loss.
		oldest, p := l.block, v.size
		p[s] = j.floor[s]
		if b, ok := v.find(p); ok {
			oldest = max(oldest, b.index)
		}
		first = min(first, oldest)
	}
	return max(first, j.first)
}

// punch gives back to the file system what a log and the journal have given up, when
// that is durable.
func (w *Writer) punch(i int) error {
	w.punching.Lock()
	defer w.punching.Unlock()
	w.mu.Lock()
	floor, first := w.journal.floor[i], w.journal.first
	w.mu.Unlock() // a slow disk must not hold up who reads
	err := w.journal.file.Sync()
	if err == nil {
		err = punchHole(int(w.logs[i].Fd()), w.punched[i], floor)
	}
	if err == nil {
		w.punched[i] = floor
		err = punchHole(int(w.journal.file.Fd()), w.punchedBlocks*blockBytes, first*blockBytes)
	}
	if err == nil {
		w.punchedBlocks = first
		return nil
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		w.mu.Lock()
		w.limit, w.room = 0, room{off: true} // it will not work the next time either
		w.mu.Unlock()
	}
	return fmt.Errorf("cannot keep a log within its limit: %w", err)
}

// punchHole gives the blocks of a file from..to back to its file system; fallocate(2).
func punchHole(fd int, from, to int64) error {
	for from < to {
		err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}
