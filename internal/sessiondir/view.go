package sessiondir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

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
	files   []fs.File
	logs    [2]io.ReaderAt // nil if there is no such log
	size    position
	journal io.ReaderAt
	blocks  int64
}

// openView opens the logs before the journal: so the journal, which is written
// after them, has the times of all that the view shows.
func openView(fsys fs.FS) (*view, error) {
	v := &view{}
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
	v.blocks = (journalSize + blockBytes - 1) / blockBytes
	return v, nil
}

func (v *view) open(fsys fs.FS, name string, at *io.ReaderAt, size *int64) error {
	f, n, err := openRegular(fsys, name)
	if err != nil {
		return err
	}
	v.files = append(v.files, f)
	*size = max(n, 0)
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
	if from >= to {
		return nil, nil
	}
	_, name := streamName(stream)
	buf := make([]byte, to-from)
	if n, err := v.logs[stream].ReadAt(buf, from); n < len(buf) {
		if errors.Is(err, io.EOF) {
			err = errors.New("it has become shorter")
		}
		return nil, corrupt(name, err)
	}
	return buf, nil
}
