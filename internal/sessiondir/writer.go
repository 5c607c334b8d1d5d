package sessiondir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"banger"
)

// Output of one stream is one record until it has mergeBytes or lasts mergeTime.
// Times that go back by less than clockTolerance are those of two streams that
// were read at once; more means that the clock was set.
const (
	mergeBytes     = 64 << 10
	mergeTime      = 50 * time.Millisecond
	clockTolerance = time.Second
)

// Writer appends to a session's logs and journal. It is used by the owner only,
// starts no goroutine and no timer, and is safe for concurrent use.
type Writer struct {
	mu      sync.Mutex  // guards everything below
	logs    [2]*os.File // stdout, stderr; stderr is nil with a terminal
	journal *os.File
	at      blockHeader // the position after the last record, and its time
	end     int64       // where in the journal the next record goes
	last    run
	limit   int64    // bytes that are kept of each log; 0: all
	floor   position // below it nothing is kept any more
	synced  position // below it everything is on the disk
	// unsynced says which of logs and journal have been written since they were synced.
	unsynced [3]bool

	punching sync.Mutex // guards punched; taken before mu
	punched  position   // below it the file system has its blocks back
}

// run is the last record while output may still be added to it.
type run struct {
	kind     recordKind // endOfRecords: nothing can be added
	began    int64      // µs since 1970
	length   int64
	lengthAt int64 // where in the journal its length is
}

// OpenWriter makes the logs and the journal of a new session in dir; a session
// with a terminal has no stderr. Of each log at most limit bytes are kept, the
// newest; 0 is no limit.
func OpenWriter(dir string, tty bool, limit int64) (*Writer, error) {
	w := &Writer{limit: limit}
	files := []struct {
		name string
		into **os.File
	}{{StdoutName, &w.logs[0]}, {StderrName, &w.logs[1]}, {JournalName, &w.journal}}
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
	return w, nil
}

// Append adds p, read at now, to a stream's log and notes it in the journal. It
// returns how much of p is in the log; an error with all of p means that only
// the time is lost, or that the log is longer than it should be. After an error the
// writer can still be used.
func (w *Writer) Append(stream banger.Stream, p []byte, now time.Time) (int, error) {
	i := stdout
	if stream == banger.StreamStderr {
		i = stderr
	}
	n, over, err := w.append(i, p, now)
	if over {
		err = errors.Join(err, w.punch(i))
	}
	return n, err
}

// append is Append without giving anything back. over says that there is something
// to be.
func (w *Writer) append(i int, p []byte, now time.Time) (n int, over bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kind, at := kindStdout, &w.at.stdout
	if i == stderr {
		kind, at = kindStderr, &w.at.stderr
	}
	name, _ := streamName(i)
	if w.logs[i] == nil {
		return 0, false, fmt.Errorf("cannot write to %s: the session has no such log", name)
	}
	n, err = w.logs[i].WriteAt(p, *at)
	w.unsynced[i] = w.unsynced[i] || n > 0
	if err != nil {
		// A write that failed may still have made the file longer.
		err = errors.Join(fmt.Errorf("cannot write to %s log: %w", name, err), w.logs[i].Truncate(*at+int64(n)))
	}
	err = errors.Join(err, w.advance(kind, at, int64(n), now))
	over, trimErr := w.trim(i, now)
	return n, over, errors.Join(err, trimErr)
}

// trimShare is which part of its limit a log is shortened by at once, fsBlock what
// file systems can give back.
const (
	trimShare = 8
	fsBlock   = 4096
)

// trim gives up the oldest bytes of a log that is over its limit.
func (w *Writer) trim(stream int, now time.Time) (over bool, err error) {
	size, from := w.at.begins()[stream], w.floor[stream]
	if w.limit <= 0 || size-from <= w.limit {
		return false, nil
	}
	floor := (size - w.limit + w.limit/trimShare + fsBlock - 1) / fsBlock * fsBlock
	w.floor[stream] = floor // before the record: that may begin a block
	if err := w.note(kindDiscard, discardContent(stream, floor), now); err != nil {
		w.floor[stream] = from
		return false, err
	}
	return true, nil
}

// punch gives back to the file system what a log has given up, when that is durable.
func (w *Writer) punch(stream int) error {
	w.punching.Lock()
	defer w.punching.Unlock()
	w.mu.Lock()
	from, to, log := w.punched[stream], w.floor[stream], w.logs[stream]
	w.mu.Unlock() // a slow disk must not hold up who reads
	err := w.journal.Sync()
	for err == nil {
		err = unix.Fallocate(int(log.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
		if err == nil {
			w.punched[stream] = to
			return nil
		}
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		w.mu.Lock()
		w.limit = 0 // it will not work the next time either
		w.mu.Unlock()
	}
	return fmt.Errorf("cannot keep a log within its limit: %w", err)
}

// AcceptStdin notes that the command's stdin was given n more bytes.
func (w *Writer) AcceptStdin(n int64, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.advance(kindStdin, &w.at.stdin, n, now)
}

// CloseStdin notes that the command's stdin was closed.
func (w *Writer) CloseStdin(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.note(kindStdinEOF, nil, now)
	w.at.stdinEOF = true
	return err
}

// Size returns how many bytes a stream's log has.
func (w *Writer) Size(stream banger.Stream) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if stream == banger.StreamStderr {
		return w.at.stderr
	}
	return w.at.stdout
}

// sizes returns how far the journal covers each stream.
func (w *Writer) sizes() position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at.begins()
}

// floors returns below which position of each stream nothing is kept any more.
func (w *Writer) floors() position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.floor
}

// view is a look at what has been written so far. It need not be closed.
func (w *Writer) view() *view {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := &view{size: w.at.begins(), journal: w.journal, blocks: (w.end + blockBytes - 1) / blockBytes}
	for i, f := range w.logs {
		if f != nil {
			v.logs[i] = f
		}
	}
	return v
}

// readLog reads all of p, which has been written, from a log.
func (w *Writer) readLog(stream int, p []byte, from int64) error {
	if n, err := w.logs[stream].ReadAt(p, from); n < len(p) {
		_, name := streamName(stream)
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	return nil
}

// Sync makes durable what has been written until now, and that it is.
func (w *Writer) Sync(now time.Time) error {
	w.mu.Lock()
	logs, dirty, at := w.logs, w.unsynced, w.at.begins()
	w.unsynced = [3]bool{}
	w.mu.Unlock() // a slow disk must not hold up the command's output

	var errs error
	for i, f := range logs {
		if !dirty[i] {
			continue
		}
		if err := f.Sync(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("cannot sync session log: %w", err))
			w.mu.Lock()
			w.unsynced[i] = true
			w.mu.Unlock()
		}
	}
	if errs == nil && (dirty[stdout] || dirty[stderr]) {
		errs = w.noteSynced(at, now)
	}
	if dirty != [3]bool{} {
		if err := w.journal.Sync(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("cannot sync journal: %w", err))
		}
	}
	return errs
}

func (w *Writer) noteSynced(at position, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.synced = at
	err := w.note(kindSynced, syncedContent(at), now)
	w.unsynced[2] = false // it is about to be synced
	return err
}

// Close closes the files; it does not sync them.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs error
	for _, f := range []*os.File{w.logs[0], w.logs[1], w.journal} {
		if f != nil {
			errs = errors.Join(errs, f.Close())
		}
	}
	return errs
}

// advance notes n more bytes of a stream that stands at *at, and moves it.
func (w *Writer) advance(kind recordKind, at *int64, n int64, now time.Time) error {
	var errs error
	for n > 0 {
		part := min(n, mergeBytes)
		if w.extends(kind, part, now) {
			errs = errors.Join(errs, w.extend(part))
		} else {
			errs = errors.Join(errs, w.note(kind, fixedLength(part), now))
			w.last.length = part
		}
		*at += part
		n -= part
	}
	return errs
}

// extends reports whether n more bytes belong to the last record.
func (w *Writer) extends(kind recordKind, n int64, now time.Time) bool {
	age := now.UnixMicro() - w.last.began
	return w.last.kind == kind && w.last.length+n <= mergeBytes && age >= 0 && age < mergeTime.Microseconds()
}

// extend adds n bytes to the last record, in place.
func (w *Writer) extend(n int64) error {
	if err := w.write(fixedLength(w.last.length+n), w.last.lengthAt); err != nil {
		return err
	}
	w.last.length += n
	return nil
}

// note writes a record, in a new block if the last one is full. The clock may
// have been set back; only a new block can say so. A block begins with what is
// known of discarded and of synced output, so that it need not be searched for.
func (w *Writer) note(kind recordKind, body []byte, now time.Time) error {
	micros := now.UnixMicro()
	var b []byte
	full := w.end%blockBytes == 0 || blockBytes-w.end%blockBytes < maxRecord
	back := micros < w.at.time-clockTolerance.Microseconds()
	if full || back {
		// So that it can be said on a full disk, too, that there is less to keep.
		_ = unix.Fallocate(int(w.journal.Fd()), unix.FALLOC_FL_KEEP_SIZE, w.end, 2*blockBytes)
		w.end = (w.end + blockBytes - 1) / blockBytes * blockBytes
		w.at.time = micros
		b = w.at.encode()
		for stream, floor := range w.floor {
			if floor > 0 {
				b = appendRecord(b, kindDiscard, 0, discardContent(stream, floor))
			}
		}
		if w.synced != (position{}) {
			b = appendRecord(b, kindSynced, 0, syncedContent(w.synced))
		}
	}
	micros = max(micros, w.at.time)
	b = appendRecord(b, kind, micros-w.at.time, body)
	if err := w.write(b, w.end); err != nil {
		return err
	}
	w.at.time = micros
	w.end += int64(len(b))
	w.last = run{kind: kind, began: micros, lengthAt: w.end - lengthBytes}
	if kind > kindStdin {
		w.last = run{}
	}
	return nil
}

// write writes to the journal. After a failure the next record starts a new
// block, since only a header can tell where it stands.
func (w *Writer) write(b []byte, at int64) error {
	if _, err := w.journal.WriteAt(b, at); err != nil {
		w.last = run{}
		w.end = (w.end + blockBytes - 1) / blockBytes * blockBytes
		_ = w.journal.Truncate(w.end) // what there is of a block that is begun again
		return fmt.Errorf("cannot write to journal: %w", err)
	}
	w.unsynced[2] = true
	return nil
}
