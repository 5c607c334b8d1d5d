// Package diskspace reports how much room a file system has.
package diskspace

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// Space is the room in a file system, as it was at one moment. A file system that does not
// count something has 0 of it.
type Space struct {
	Free      int64  // bytes that this user may still write
	Total     int64  // bytes, used or not
	FreeFiles uint64 // how many more files can be created
	Files     uint64 // how many there can be
}

// Of returns the space in the file system that holds path.
func Of(path string) (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return Space{}, fmt.Errorf("cannot determine the free space of %s: %w", path, err)
	}
	return spaceOf(&fs), nil
}

// OfFile is Of for an open file.
func OfFile(f *os.File) (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return Space{}, fmt.Errorf("cannot determine the free space of the disk of %s: %w", f.Name(), err)
	}
	return spaceOf(&fs), nil
}

// IsFull reports whether an error means that a disk, or a user's share of it, is full.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// spaceOf counts in fragments, as statvfs(3) has it: f_bsize is the size of a good
// transfer, and a file system of FUSE may give a larger one. A kernel without fragments has
// 0 of them.
func spaceOf(fs *unix.Statfs_t) Space {
	unit := uint64(max(fs.Frsize, 0))
	if unit == 0 {
		unit = uint64(max(fs.Bsize, 0))
	}
	return Space{Free: product(fs.Bavail, unit), Total: product(fs.Blocks, unit), FreeFiles: fs.Ffree, Files: fs.Files}
}

// product is a times b, or the most that there can be: a file system of FUSE
// may report any number.
func product(a, b uint64) int64 {
	high, low := bits.Mul64(a, b)
	if high > 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low)
}
