package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"banger/internal/diskspace"
)

const (
	// reserveBytes is what the reserve takes. A change writes a log of at most some MiB
	// beside the database, which then takes it over.
	reserveBytes = 32 << 20
	// reserveRoom is what has to be free before the reserve is made again. A machine that
	// was paused for want of room continues above it, so it does not take this room away.
	reserveRoom   = 2 * reserveBytes
	reserveSuffix = ".reserve"
)

// reserve is a file beside the database that is given up when the disk is full, so that
// what makes room can be recorded. Safe for concurrent use.
type reserve struct {
	path string
	mu   sync.Mutex // guards made, and the file
	made bool       // it is there, as far as we know
}

// give removes the reserve and reports whether there was one.
func (r *reserve) give() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = false
	return os.Remove(r.path) == nil
}

// restore makes the reserve if it is missing and there is room for it. Without it, all
// works but a full disk: so it fails silently, and the next write tries again.
func (r *reserve) restore() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made {
		return
	}
	if info, err := os.Stat(r.path); err == nil && info.Size() == reserveBytes {
		r.made = true
		return
	}
	if space, err := diskspace.Of(filepath.Dir(r.path)); err != nil || space.Free < reserveRoom {
		return
	}
	r.made = allocate(r.path, reserveBytes) == nil
}

// allocate makes a file that has all its blocks.
func allocate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = fill(f, size)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func fill(f *os.File, size int64) error {
	block := make([]byte, 1<<20)
	for ; size > 0; size -= int64(len(block)) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}
