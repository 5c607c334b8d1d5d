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
	// unsynced says which of logs and journal have been written since they were synced.
	unsynced [3]bool
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
// the time is lost. After an error the writer can still be used.
func (w *Writer) Append(stream banger.Stream, p []byte, now time.Time) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, kind, at := 0, kindStdout, &w.at.stdout
	if stream == banger.StreamStderr {
		i, kind, at = 1, kindStderr, &w.at.stderr
	}
	if w.logs[i] == nil {
		return 0, fmt.Errorf("cannot write to %s: the session has no such log", stream)
	}
	n, err := w.logs[i].WriteAt(p, *at)
	w.unsynced[i] = w.unsynced[i] || n > 0
	if err != nil {
		// A write that failed may still have made the file longer.
		err = errors.Join(fmt.Errorf("cannot write to %s log: %w", stream, err), w.logs[i].Truncate(*at+int64(n)))
	}
	return n, errors.Join(err, w.advance(kind, at, int64(n), now), w.trim(i, now))
}

// trimShare is which part of its limit a log is shortened by at once, fsBlock what
// file systems can give back.
const (
	trimShare = 8
	fsBlock   = 4096
)

// trim gives the oldest bytes of a log that is over its limit back to the file
// system. That they are gone is durable before they are.
func (w *Writer) trim(stream int, now time.Time) error {
	size, from := w.at.begins()[stream], w.floor[stream]
	if w.limit <= 0 || size-from <= w.limit {
		return nil
	}
	floor := (size - w.limit + w.limit/trimShare + fsBlock - 1) / fsBlock * fsBlock
	w.floor[stream] = floor
	err := w.note(kindDiscard, discardContent(stream, floor), now)
	if err == nil {
		err = w.journal.Sync()
	}
	if err != nil {
		w.floor[stream] = from
		return err
	}
	err = unix.Fallocate(int(w.logs[stream].Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, floor-from)
	if err != nil {
		w.limit = 0 // it will not work the next time either
		return fmt.Errorf("cannot keep a log within its limit: %w", os.NewSyscallError("fallocate", err))
	}
	return nil
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
	v := &view{size: w.at.begins(), floor: w.floor, journal: w.journal, blocks: (w.end + blockBytes - 1) / blockBytes}
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

// Sync makes durable what has been written.
func (w *Writer) Sync() error {
	w.mu.Lock()
	files := [3]*os.File{w.logs[0], w.logs[1], w.journal}
	dirty := w.unsynced
	w.unsynced = [3]bool{}
	w.mu.Unlock() // a slow disk must not hold up the command's output

	var errs error
	for i, f := range files {
		if !dirty[i] {
			continue
		}
		if err := f.Sync(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("cannot sync session log: %w", err))
		}
	}
	return errs
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
// known of discarded output, so that it need not be searched for.
func (w *Writer) note(kind recordKind, body []byte, now time.Time) error {
	micros := now.UnixMicro()
	var b []byte
	full := w.end%blockBytes == 0 || blockBytes-w.end%blockBytes < maxRecord
	back := micros < w.at.time-clockTolerance.Microseconds()
	if full || back {
		w.end = (w.end + blockBytes - 1) / blockBytes * blockBytes
		w.at.time = micros
		b = w.at.encode()
		for stream, floor := range w.floor {
			if floor > 0 {
				b = appendRecord(b, kindDiscard, 0, discardContent(stream, floor))
			}
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
		w.end = (w.end/blockBytes + 1) * blockBytes
		return fmt.Errorf("cannot write to journal: %w", err)
	}
	w.unsynced[2] = true
	return nil
}
