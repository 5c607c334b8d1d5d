package transfer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/diskspace"
)

// room watches that a file system does not become full.
type room struct {
	dir     *os.File
	reserve bool  // some of it is left
	written int64 // since it was looked at
	made    int
}

// Some of the room on a host is left for others, whatever a guest sends.
const (
	maxReserve    = 256 << 20
	lookEach      = 64 << 20 // bytes
	lookEachFiles = 4096
)

func (r *room) bytes(n int64) error {
	if r.written += n; r.written < lookEach {
		return nil
	}
	r.written = 0
	return r.check(0)
}

func (r *room) entry() error {
	if r.made++; r.made < lookEachFiles {
		return nil
	}
	r.made = 0
	return r.check(0)
}

// file looks whether there is room for a file, by its data and not by its size.
func (r *room) file(e *Entry) error {
	if e.Data-e.Offset < 1<<20 {
		return r.entry()
	}
	return r.check(e.Data - e.Offset)
}

func (r *room) check(need int64) error {
	space, err := diskspace.OfFile(r.dir)
	if err != nil {
		return nil // it is written until that fails
	}
	var reserve int64
	if r.reserve {
		reserve = min(space.Total/50, maxReserve)
	}
	if free := space.Free - reserve; space.Total > 0 && free < need {
		return fatalError{errNoRoom(fmt.Errorf("%d bytes are needed, and %d are free", need, max(free, 0)))}
	}
	if r.reserve && space.Files > 0 && space.FreeFiles < space.Files/100 {
		return fatalError{errNoRoom(fmt.Errorf("it has room for %d more files", space.FreeFiles))}
	}
	return nil
}

func errNoRoom(cause error) error {
	return banger.Errorf(banger.CodeMissing, "the disk of the target is full: %w", cause).WithHint("make room there, or copy less")
}

// fatalIfFull makes what will happen to the next entry, too, the end of the copy.
func fatalIfFull(err error) error {
	switch {
	case diskspace.IsFull(err):
		return fatalError{errNoRoom(err)}
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EROFS):
		return fatalError{err}
	}
	return err
}
