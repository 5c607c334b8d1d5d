package files

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

// CreateWithSpare makes a file of size bytes with a spare file of that size beside it.
// Both have their blocks from then on, or the promise of them, so that WriteInto needs
// none. Nothing is synced. A failure may leave one of them.
func CreateWithSpare(path string, data []byte, size int, perm fs.FileMode) error {
	if err := os.WriteFile(SparePath(path), padded(nil, size), perm); err != nil {
		return fmt.Errorf("cannot create file %s: %w", path, err)
	}
	if err := os.WriteFile(path, padded(data, size), perm); err != nil {
		return fmt.Errorf("cannot create file %s: %w", path, err)
	}
	return nil
}

// WriteInto replaces the file at path with data as Write does, but on a full disk
// too: it writes into the spare file, in place, and exchanges the two names
// (renameat2(2), RENAME_EXCHANGE). The content is padded with newlines to size, which
// data must not exceed. If there is no spare file it fails with ErrNoSpare. Calls for
// one path must not be concurrent.
func WriteInto(path string, data []byte, size int) error {
	// Of the exchange before this one the disk may not know yet: there, the spare
	// file is the file still.
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return ReplaceWithSpare(path, data, size)
}

// PutInto is WriteInto for what need not survive the machine yet: readers see the
// new content, but after a crash the file may be damaged, until it and its directory
// are synced.
func PutInto(path string, data []byte, size int) error {
	return exchange(path, data, size, func(*os.File) error { return nil })
}

// ReplaceWithSpare is WriteInto for a file that no crash has to leave as it was: one whose
// directory is not durable yet. It costs a sync less.
func ReplaceWithSpare(path string, data []byte, size int) error {
	if err := exchange(path, data, size, (*os.File).Sync); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// exchange writes into the spare file, calls finish on it, and exchanges the names.
func exchange(path string, data []byte, size int, finish func(*os.File) error) error {
	spare := SparePath(path)
	f, err := os.OpenFile(spare, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoSpare
	}
	if err != nil {
		return fmt.Errorf("cannot write file %s: %w", path, err)
	}
	if err = overwrite(f, padded(data, size)); err == nil {
		err = finish(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, spare, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
	}
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, fs.ErrNotExist):
		return ErrNoSpare
	case err != nil:
		return fmt.Errorf("cannot write file %s: %w", path, err)
	}
	return nil
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
	return nil
}

func padded(data []byte, size int) []byte {
	return append(data[:len(data):len(data)], bytes.Repeat([]byte{'\n'}, max(0, size-len(data)))...)
}
