package sessiondir

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"banger"
	"banger/internal/diskspace"
)

// Writer appends to a session's logs and journal. It is used by the owner only,
// starts no goroutine and no timer, and is safe for concurrent use.
type Writer struct {
	mu       sync.Mutex  // guards everything below
	logs     [2]*os.File // stdout, stderr; stderr is nil with a terminal
	unsynced [2]bool     // which of them has been written since it was synced
	journal  journalWriter
	pending  [2]pending
	limit    int64 // bytes that are kept of each log; 0: all
	room     room

	punching      sync.Mutex // guards the rest; taken before mu
	punched       position   // below it the file system has its blocks back
	punchedBlocks int64      // the same of the journal, in blocks
}

// pending is output that was lost, while that cannot be written to the journal. Nothing is
// written to its stream before that.
type pending struct {
	bytes int64
	why   reasons
}

// OpenWriter makes the logs and the journal of a new session in dir; a session
// with a terminal has no stderr. Of each log at most limit bytes are kept, the
// newest; 0 means no limit. On a full disk it fails.
func OpenWriter(dir string, tty bool, limit int64) (*Writer, error) {
	w := &Writer{limit: limit}
	files := []struct {
		name string
		into **os.File
	}{{StdoutName, &w.logs[0]}, {StderrName, &w.logs[1]}, {JournalName, &w.journal.file}}
	for _, f := range files {
		if tty && f.name == StderrName {
			continue
		}
		var err error
		*f.into, err = os.OpenFile(filepath.Join(dir, f.name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("cannot create session log: %w", err)
		}
	}
	if err := w.journal.reserve(); diskspace.IsFull(err) {
		w.Close()
		return nil, fmt.Errorf("cannot create session log: %w", err)
	}
	return w, nil
}

// Append adds p, read at now, to a stream. It returns how much of p is in the log; the
// rest is lost, has its place in the stream all the same, and is reported as a gap. An
// error with all of p means that only the time is lost, or that the log is longer than
// it should be. After an error the writer can still be used.
func (w *Writer) Append(stream banger.Stream, p []byte, now time.Time) (int, error) {
	i := stdout
	if stream == banger.StreamStderr {
		i = stderr
	}
	if w.logs[i] == nil {
		return 0, fmt.Errorf("cannot write to %s: the session has no such log", stream)
	}
	n, over, err := w.append(i, p, now)
	if n < len(p) && diskspace.IsFull(err) && w.makeRoom(i, int64(len(p)-n), now) {
		var more int
		more, over, err = w.append(i, p[n:], now)
		n += more
	}
	if n < len(p) {
		err = errors.Join(err, w.lose(i, int64(len(p)-n), reasonOf(err), now))
	}
	if over {
		err = errors.Join(err, w.punch(i))
	}
	return n, err
}

// append writes what the disk takes of p. over says that old output is to be given back.
func (w *Writer) append(i int, p []byte, now time.Time) (n int, over bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.tellLoss(i, now); err != nil {
		return 0, false, err
	}
	if err := w.journal.settled(i); err != nil {
		return 0, false, err
	}
	kind, at := kindStdout+recordKind(i), w.journal.at.stream(i)
	n, err = w.logs[i].WriteAt(p, *at)
	w.unsynced[i] = w.unsynced[i] || n > 0
	if err != nil {
		err = fmt.Errorf("cannot write to %s: %w", logName(i), err)
		// A write that failed may still have made the file longer.
		if info, statErr := w.logs[i].Stat(); statErr == nil && info.Size() > *at+int64(n) {
			err = errors.Join(err, w.logs[i].Truncate(*at+int64(n)))
		}
	}
	err = errors.Join(err, w.journal.advance(kind, at, int64(n), now))
	w.room.use(int64(n))
	over, trimErr := w.trim(i, now)
	return n, over, errors.Join(err, trimErr)
}

// lose declares n bytes of a stream lost.
func (w *Writer) lose(i int, n int64, why reasons, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending[i].bytes += n
	w.pending[i].why |= why
	return w.tellLoss(i, now)
}

// tellLoss notes in the journal what is lost.
func (w *Writer) tellLoss(i int, now time.Time) error {
	p := &w.pending[i]
	if p.bytes == 0 {
		return nil
	}
	if err := w.journal.lose(i, p.bytes, p.why, now); err != nil {
		return err
	}
	*p = pending{}
	return nil
}

// AcceptStdin notes that the command's stdin was given n more bytes.
func (w *Writer) AcceptStdin(n int64, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.journal.advance(kindStdin, &w.journal.at.stdin, n, now)
}

// CloseStdin notes that the command's stdin was closed.
func (w *Writer) CloseStdin(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.journal.closeStdin(now)
}

// Size returns how many bytes a stream has, with those that are lost.
func (w *Writer) Size(stream banger.Stream) int64 {
	if stream == banger.StreamStderr {
		return w.sizes()[stderr]
	}
	return w.sizes()[stdout]
}

// sizes returns where each stream ends.
func (w *Writer) sizes() position {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.journal.at.begins()
	for s := range p {
		p[s] += w.pending[s].bytes
	}
	return p
}

// given returns below which position of each stream nothing is kept any more, and why.
func (w *Writer) given() (floor position, why [2]reasons) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.journal.floor, w.journal.why
}

// ahead is a look at what the journal has so far, which need not be closed, with the end of
// the last loss in each stream, and what of the losses at a position is not in the journal
// yet.
func (w *Writer) ahead(at position) (v *view, end position, untold []extent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.journal.at.begins()
	for s, p := range w.pending {
		end[s] = w.journal.losses[s].end
		if p.bytes > 0 && at[s] >= told[s] && at[s] < told[s]+p.bytes {
			untold = append(untold, extent{stream: s, from: at[s], to: told[s] + p.bytes, gap: true, why: p.why})
		}
	}
	return w.look(), end, untold
}

func (w *Writer) look() *view {
	j := &w.journal
	v := &view{size: j.at.begins(), length: position{math.MaxInt64, math.MaxInt64}, blockFile: blockFile{journal: j.file, blocks: (j.end + blockBytes - 1) / blockBytes}}
	v.first = j.first
	for i, f := range w.logs {
		if f != nil {
			v.logs[i] = f
		}
	}
	return v
}

// Sync makes durable what has been written until now, and that it is.
func (w *Writer) Sync(now time.Time) error {
	w.mu.Lock()
	errs := errors.Join(w.tellLoss(stdout, now), w.tellLoss(stderr, now))
	dirty, at, journal := w.unsynced, w.journal.at.begins(), w.journal.unsynced
	w.unsynced, w.journal.unsynced = [2]bool{}, false
	w.mu.Unlock() // a slow disk must not hold up the command's output

	synced := true
	for i, f := range w.logs {
		if !dirty[i] {
			continue
		}
		if err := f.Sync(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("cannot sync %s: %w", logName(i), err))
			synced = false
			w.mu.Lock()
			w.unsynced[i] = true
			w.mu.Unlock()
		}
	}
	if synced && dirty != [2]bool{} {
		journal = true
		errs = errors.Join(errs, w.noteSynced(at, now))
	}
	if journal {
		if err := w.journal.file.Sync(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("cannot sync journal: %w", err))
		}
	}
	return errs
}

func (w *Writer) noteSynced(at position, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.journal.noteSynced(at, now)
	w.journal.unsynced = false // it is about to be synced
	return err
}

// Close closes the files; it does not sync them.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs error
	for _, f := range []*os.File{w.logs[0], w.logs[1], w.journal.file} {
		if f != nil {
			errs = errors.Join(errs, f.Close())
		}
	}
	return errs
}
