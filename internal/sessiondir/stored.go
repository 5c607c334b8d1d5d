package sessiondir

import (
	"os"

	"golang.org/x/sys/unix"
)

// stored is what the disk has of a log.
type stored struct {
	file        *os.File // nil: there is no such log
	size, floor int64    // where it ends, and below which position nothing is kept
	lost        int64    // where its newest loss ends
}

// bytes is how many they are.
func (l stored) bytes() int64 {
	var st unix.Stat_t
	if l.lost > l.floor && unix.Fstat(int(l.file.Fd()), &st) == nil {
		return min(l.size-l.floor, st.Blocks*512) // what was lost takes nothing
	}
	if l.file == nil {
		return 0
	}
	return l.size - l.floor
}

// maxHoles bounds how many holes of a log are passed over at once.
const maxHoles = 1000

// behind returns the position behind the oldest n bytes that are kept, the
// holes of what was lost not counted; lseek(2).
func (l stored) behind(n int64) int64 {
	at := l.floor
	if l.lost <= at {
		return at + n
	}
	fd := int(l.file.Fd())
	for range maxHoles {
		data, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if err != nil {
			break
		}
		hole, err := unix.Seek(fd, data, unix.SEEK_HOLE)
		if err != nil {
			break
		}
		if hole-data >= n {
			return data + n
		}
		n -= hole - data
		at = hole
	}
	return at
}
