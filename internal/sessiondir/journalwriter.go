package sessiondir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Output of one stream is one record until it has mergeBytes or lasts mergeTime.
// Times that go back by less than clockTolerance are those of two streams that
// were read at once; more means that the clock was set.
const (
	mergeBytes     = 64 << 10
	mergeTime      = 50 * time.Millisecond
	clockTolerance = time.Second
)

// journalAhead is how many blocks of the journal have their place on the disk from the
// moment at which the first of them is begun: some minutes' worth for a session whose
// disk is full.
const journalAhead = 4

// journalWriter writes a session's journal. It is not safe for concurrent use.
type journalWriter struct {
	file   *os.File
	at     blockHeader // the position after the last record, and its time
	end    int64       // where in the journal the next record goes
	last   run
	losses [2]loss    // the newest of each stream
	floor  position   // below it nothing is kept any more,
	why    [2]reasons // for these reasons
	synced position   // below it everything is on the disk
	// syncedAt is where in the journal that is said; 0: not in this block.
	syncedAt int64
	first    int64 // blocks below it are given up
	unsynced bool
}

// run is the last record while output may still be added to it.
type run struct {
	kind     recordKind // endOfRecords: nothing can be added
	began    int64      // µs since 1970
	length   int64
	lengthAt int64 // where in the journal its length is
}

// loss is output of a stream that could not be kept. More of it is added in place, so
// that what a full disk takes from a session is one record, however much it is.
type loss struct {
	why      reasons
	length   int64
	lengthAt int64 // where in the journal its length is; 0: nothing can be added
	end      int64 // where in the stream it ends; 0: nothing was lost
	durable  bool  // the disk has it
	block    int64 // of the journal: none before it has a loss that is not given up
}

// advance notes n more bytes of what stands at *at, and moves it.
func (j *journalWriter) advance(kind recordKind, at *int64, n int64, now time.Time) error {
	var errs error
	for n > 0 {
		part := min(n, mergeBytes)
		if j.extends(kind, part, now) {
			errs = errors.Join(errs, j.extend(part))
		} else {
			errs = errors.Join(errs, j.note(kind, fixedLength(part), now))
			j.last.length = part
		}
		*at += part
		n -= part
	}
	return errs
}

// extends reports whether n more bytes belong to the last record.
func (j *journalWriter) extends(kind recordKind, n int64, now time.Time) bool {
	age := now.UnixMicro() - j.last.began
	return j.last.kind == kind && j.last.length+n <= mergeBytes && age >= 0 && age < mergeTime.Microseconds()
}

// extend adds n bytes to the last record, in place.
func (j *journalWriter) extend(n int64) error {
	if err := j.write(fixedLength(j.last.length+n), j.last.lengthAt); err != nil {
		return err
	}
	j.last.length += n
	return nil
}

// lose notes that n bytes of a stream are lost, and moves it.
func (j *journalWriter) lose(stream int, n int64, why reasons, now time.Time) error {
	at, l := j.at.stream(stream), &j.losses[stream]
	if l.end == *at && l.why == why && l.lengthAt > 0 {
		if err := j.write(fixedUvarint(l.length+n, offsetBytes), l.lengthAt); err != nil {
			return err
		}
		l.length += n
	} else {
		if err := j.note(kindLost, lostContent(stream, why, n), now); err != nil {
			return err
		}
		if l.end <= j.floor[stream] {
			l.block = (j.end - 1) / blockBytes
		}
		l.why, l.length, l.lengthAt = why, n, j.end-offsetBytes
	}
	*at += n
	l.end, l.durable = *at, false
	return nil
}

// settled makes durable that a stream's newest output was lost, if it was. Then more can
// follow: a crash must not leave a hole in a log that the journal does not know.
func (j *journalWriter) settled(stream int) error {
	l := &j.losses[stream]
	if l.end == 0 || l.end != *j.at.stream(stream) || l.durable {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("cannot sync journal: %w", err)
	}
	l.durable = true
	return nil
}

// discard notes that a stream's output below floor is given up.
func (j *journalWriter) discard(stream int, floor int64, why reasons, now time.Time) error {
	from, before := j.floor[stream], j.why[stream]
	j.floor[stream], j.why[stream] = floor, before|why // before the record: that may begin a block
	if err := j.note(kindDiscard, discardContent(stream, before|why, floor), now); err != nil {
		j.floor[stream], j.why[stream] = from, before
		return err
	}
	return nil
}

// shorten gives up the blocks below index first.
func (j *journalWriter) shorten(first int64, now time.Time) error {
	before := j.first
	j.first = first
	if err := j.note(kindShorter, binary.AppendUvarint(nil, uint64(first)), now); err != nil {
		j.first = before
		return err
	}
	return nil
}

// closeStdin notes that the command's stdin was closed.
func (j *journalWriter) closeStdin(now time.Time) error {
	err := j.note(kindStdinEOF, nil, now)
	j.at.stdinEOF = true
	return err
}

// noteSynced notes how much of the logs is on the disk: once in each block, in place.
func (j *journalWriter) noteSynced(at position, now time.Time) error {
	j.synced = at
	if j.syncedAt > 0 {
		return j.write(syncedContent(at), j.syncedAt)
	}
	if err := j.note(kindSynced, syncedContent(at), now); err != nil {
		return err
	}
	j.syncedAt = j.end - 2*offsetBytes
	return nil
}

// note writes a record, in a new block if the last one is full. The clock may
// have been set back; only a new block can say so.
func (j *journalWriter) note(kind recordKind, body []byte, now time.Time) error {
	micros := now.UnixMicro()
	var b []byte
	full := j.end%blockBytes == 0 || blockBytes-j.end%blockBytes < maxRecord
	if full || micros < j.at.time-clockTolerance.Microseconds() {
		b = j.begin(micros)
	}
	micros = max(micros, j.at.time)
	b = appendRecord(b, kind, micros-j.at.time, body)
	if err := j.write(b, j.end); err != nil {
		return err
	}
	j.at.time = micros
	j.end += int64(len(b))
	j.last = run{kind: kind, began: micros, lengthAt: j.end - lengthBytes}
	if kind > kindStdin {
		j.last = run{}
	}
	return nil
}

// begin begins a block. It has first what is known of output that is synced, given up
// or lost, so that it need not be searched for.
func (j *journalWriter) begin(micros int64) []byte {
	j.end = (j.end + blockBytes - 1) / blockBytes * blockBytes
	_ = j.reserve()
	j.at.time = micros
	b := j.at.encode()
	for stream, floor := range j.floor {
		if floor > 0 {
			b = appendRecord(b, kindDiscard, 0, discardContent(stream, j.why[stream], floor))
		}
	}
	if j.first > 0 {
		b = appendRecord(b, kindShorter, 0, binary.AppendUvarint(nil, uint64(j.first)))
	}
	if j.syncedAt = 0; j.synced != (position{}) {
		b = appendRecord(b, kindSynced, 0, syncedContent(j.synced))
		j.syncedAt = j.end + int64(len(b)) - 2*offsetBytes
	}
	for stream := range j.losses {
		l := &j.losses[stream]
		if l.length, l.lengthAt = 0, 0; l.end > 0 && l.end == *j.at.stream(stream) {
			b = appendRecord(b, kindLost, 0, lostContent(stream, l.why, 0))
			l.lengthAt = j.end + int64(len(b)) - offsetBytes
		}
	}
	return b
}

// reserve has the disk keep room for the next blocks.
func (j *journalWriter) reserve() error {
	return unix.Fallocate(int(j.file.Fd()), unix.FALLOC_FL_KEEP_SIZE, j.end, journalAhead*blockBytes)
}

// write writes to the journal. After a failure the next record starts a new
// block, since only a header says where it stands.
func (j *journalWriter) write(b []byte, at int64) error {
	if _, err := j.file.WriteAt(b, at); err != nil {
		j.last, j.syncedAt = run{}, 0
		for stream := range j.losses {
			j.losses[stream].lengthAt = 0
		}
		j.end = (j.end + blockBytes - 1) / blockBytes * blockBytes
		if info, statErr := j.file.Stat(); statErr == nil && info.Size() > j.end {
			_ = j.file.Truncate(j.end) // what there is of a block that is begun again
		}
		return fmt.Errorf("cannot write to journal: %w", err)
	}
	j.unsynced = true
	return nil
}
