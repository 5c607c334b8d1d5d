package sessiondir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger"
)

// The streams as indexes.
const (
	stdout = 0
	stderr = 1
)

// streamNames has the name of each stream in requests and that of its log.
func streamName(i int) (banger.Stream, string) {
	if i == stderr {
		return banger.StreamStderr, StderrName
	}
	return banger.StreamStdout, StdoutName
}

func logName(i int) string {
	_, name := streamName(i)
	return name
}

// position is an offset in each stream.
type position [2]int64

// upTo returns p, but nowhere beyond limit.
func (p position) upTo(limit position) position {
	return position{min(p[stdout], limit[stdout]), min(p[stderr], limit[stderr])}
}

// within reports whether p lies nowhere beyond limit.
func (p position) within(limit position) bool { return p == p.upTo(limit) }

// view is one look at the files. What is written to the logs after it was opened
// does not exist for it.
type view struct {
	files  []fs.File
	logs   [2]io.ReaderAt // nil if there is no such log
	size   position       // where the streams end
	length position       // where their logs end: only what is lost can lie behind that
	hole   position       // where the logs have their first data

	blockFile
	// journalFile is that of journal, if there is one.
	journalFile fs.File
	ending
	written time.Time // when a file was written last
	outrun  bool      // more than size is not kept any more
	crashed bool      // what was written last may be gone
}

// openView opens the logs before the journal: so the journal, which is written
// after them, has the times of all that the view shows. still says that nobody writes to
// them any more.
func openView(fsys fs.FS, still bool) (*view, error) {
	v := &view{blockFile: blockFile{still: still}}
	var journalSize int64
	for _, f := range []struct {
		name string
		at   *io.ReaderAt
		size *int64
	}{
		{StdoutName, &v.logs[stdout], &v.size[stdout]},
		{StderrName, &v.logs[stderr], &v.size[stderr]},
		{JournalName, &v.journal, &journalSize},
	} {
		err := v.open(fsys, f.name, f.at, f.size)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			v.close()
			return nil, err
		}
	}
	for s, log := range v.logs {
		v.hole[s] = min(firstData(log), v.size[s])
	}
	v.length = v.size
	v.setJournalSize(journalSize)
	v.first = max(v.first, firstData(v.journal)/blockBytes)
	for s, n := range v.length {
		if v.lost[s] <= n {
			continue
		}
		// What came before the loss may have been written since the log was opened.
		if err := v.measure(s); err != nil {
			v.close()
			return nil, err
		}
		v.size[s] = max(v.length[s], v.lost[s])
	}
	for s := range v.floor {
		v.outrun = v.outrun || v.floor[s] > v.size[s]
		v.floor[s] = min(v.floor[s], v.size[s])
	}
	return v, nil
}

// measure looks again how long a log is.
func (v *view) measure(stream int) error {
	for _, f := range v.files {
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("cannot read file %s: %w", logName(stream), err)
		}
		if info.Name() == logName(stream) {
			v.length[stream] = max(v.length[stream], info.Size())
		}
	}
	return nil
}

// setJournalSize looks at a journal of some size.
func (v *view) setJournalSize(n int64) {
	v.blocks = (n + blockBytes - 1) / blockBytes
	v.ending = v.readEnding()
}

// maxUnsynced bounds how much of a log's end is looked at for zeros.
const maxUnsynced = 64 << 20

// cutAllZeros is cutZeros for each log.
func (v *view) cutAllZeros() error {
	for s := range v.size {
		if err := v.cutZeros(s); err != nil {
			return err
		}
	}
	return nil
}

// zerosAtFirst and zerosAtOnce are what is looked at: mostly there are no zeros.
const (
	zerosAtFirst = 4 << 10
	zerosAtOnce  = 64 << 10
)

// cutZeros ends a log before the zeros at its end that have not been synced, and are
// not the hole of something lost.
func (v *view) cutZeros(stream int) error {
	low := max(v.synced[stream], v.floor[stream], v.length[stream]-maxUnsynced)
	if lost := v.lost[stream]; lost <= v.length[stream] {
		low = max(low, lost)
	}
	var buf []byte
	step := int64(zerosAtFirst)
	defer func() { v.size[stream] = max(v.length[stream], v.lost[stream]) }()
	for v.length[stream] > low {
		from := max(low, v.length[stream]-step)
		step = zerosAtOnce
		p, err := v.readInto(buf, stream, from, v.length[stream])
		if err != nil {
			return err
		}
		buf = p
		rest := bytes.TrimRight(p, "\x00")
		if v.length[stream] = from + int64(len(rest)); len(rest) > 0 {
			return nil
		}
	}
	return nil
}

// firstData returns where a file begins that begins with a hole: if the journal is
// damaged, that is not to be taken for output.
func firstData(f io.ReaderAt) int64 {
	switch f := f.(type) {
	case interface{ FirstData() (int64, error) }: // of internal/ext4fs
		at, err := f.FirstData()
		if err != nil {
			return 0
		}
		return at
	case syscall.Conn:
		return seekData(f)
	}
	return 0
}

// seekData is firstData of a file of this host; lseek(2), SEEK_DATA.
func seekData(file syscall.Conn) int64 {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0
	}
	var at int64
	_ = raw.Control(func(fd uintptr) { at, err = unix.Seek(int(fd), 0, unix.SEEK_DATA) })
	if errors.Is(err, unix.ENXIO) {
		return maxOffset // it is nothing but a hole
	}
	if err != nil {
		return 0
	}
	return at
}

// gaps describes what of the streams from pos on is not kept any more, and returns
// the position behind that.
func (v *view) gaps(pos position) (list []banger.LogChunk, after position) {
	for s := range pos {
		if n := v.floor[s] - pos[s]; n > 0 {
			name, _ := streamName(s)
			list = append(list, banger.LogChunk{Stream: name, Offset: pos[s], Gap: n, Reason: v.why[s].String()})
			pos[s] = v.floor[s]
		}
	}
	return list, pos
}

func (v *view) open(fsys fs.FS, name string, at *io.ReaderAt, size *int64) error {
	f, info, err := openRegular(fsys, name)
	if err != nil {
		return err
	}
	v.files = append(v.files, f)
	*size = max(info.Size(), 0)
	v.written = latest(v.written, info.ModTime())
	if name == JournalName {
		v.journalFile = f
	}
	switch f := f.(type) {
	case io.ReaderAt:
		*at = f
	case io.ReadSeeker:
		*at = seekingReaderAt{f}
	default:
		return fmt.Errorf("cannot read file %s: its file system cannot read at an offset", name)
	}
	return nil
}

func (v *view) close() {
	for _, f := range v.files {
		f.Close()
	}
}

// seekingReaderAt is an io.ReaderAt for one goroutine.
type seekingReaderAt struct{ f io.ReadSeeker }

// ReadAt implements io.ReaderAt.
func (s seekingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if _, err := s.f.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s.f, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// read returns the bytes from..to of a log.
func (v *view) read(stream int, from, to int64) ([]byte, error) {
	return v.readInto(nil, stream, from, to)
}

// readInto is read that uses the room of buf, if that is enough.
func (v *view) readInto(buf []byte, stream int, from, to int64) ([]byte, error) {
	if from >= to {
		return nil, nil
	}
	buf = slices.Grow(buf[:0], int(to-from))[:to-from]
	if n, err := v.logs[stream].ReadAt(buf, from); n < len(buf) {
		if errors.Is(err, io.EOF) {
			err = errors.New("it has become shorter")
		}
		return nil, corrupt(logName(stream), err)
	}
	return buf, nil
}

// givenUp looks again below which position nothing is kept any more.
func (v *view) givenUp() (position, error) {
	if v.journalFile == nil {
		return v.floor, nil
	}
	info, err := v.journalFile.Stat()
	if err != nil {
		return v.floor, err
	}
	again := blockFile{journal: v.journal, blocks: (info.Size() + blockBytes - 1) / blockBytes}
	return again.readEnding().floor, nil
}
