package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNoSpare says that a file cannot be written into its spare: it has none, or
// its file system cannot exchange two names.
var ErrNoSpare = errors.New("there is no spare file")

// SparePath is the spare file of the file at path.
func SparePath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".spare")
}

// WriteWithSpare writes a new file of size bytes with a spare file of that size
// beside it. Both have their blocks from then on, so that WriteInto needs none. A
// failure may leave one of them.
func WriteWithSpare(path string, data []byte, size int, perm fs.FileMode) error {
	if err := Write(SparePath(path), padded(nil, size), perm); err != nil {
		return err
	}
	return Write(path, padded(data, size), perm)
}

// WriteInto replaces the file at path with data as Write does, but on a full disk
// too: it writes into the spare file, in place, and exchanges the two names
// (renameat2(2), RENAME_EXCHANGE). The content is padded with newlines to size, which
// data must not exceed. If there is no spare file it fails with ErrNoSpare. Calls for
// one path must not be concurrent.
func WriteInto(path string, data []byte, size int) error {
	dir, spare := filepath.Dir(path), SparePath(path)
	f, err := os.OpenFile(spare, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoSpare
	}
	if err != nil {
		return fmt.Errorf("cannot write file %s: %w", path, err)
	}
	// Of the exchange before this one the disk may not know yet: there, the spare
	// file is the file still.
	err = SyncDir(dir)
	if err == nil {
		err = overwrite(f, padded(data, size))
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, spare, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
	}
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, fs.ErrNotExist):
		return ErrNoSpare
	case err != nil:
		return fmt.Errorf("cannot write file %s: %w", path, err)
	}
	return SyncDir(dir)
}

// overwrite gives a regular file new content of no more bytes than it has blocks for.
func overwrite(f *os.File, data []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return ErrNoSpare
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	if info.Size() > int64(len(data)) { // it has been a larger one's place
		if err := f.Truncate(int64(len(data))); err != nil {
			return err
		}
	}
	return f.Sync()
}

func padded(data []byte, size int) []byte {
	return append(data[:len(data):len(data)], bytes.Repeat([]byte{'\n'}, max(0, size-len(data)))...)
}
