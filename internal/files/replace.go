// Package files replaces files so that neither a crash of the process nor
// of the machine leaves a half-written one, makes them durable, and sums them up.
package files

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Write replaces the file at path with data. When it has returned nil the new
// content survives a loss of power; when it fails, or if the machine dies in
// between, the old content, or none, is still there. Readers see the one or the
// other. Concurrent calls for one path are safe; the last to finish wins.
func Write(path string, data []byte, perm fs.FileMode) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot write file %s: %w", path, err)
	}
	if err := fill(temp, data, perm); err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("cannot write file %s: %w", path, err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("cannot write file %s: %w", path, err)
	}
	return SyncDir(dir)
}

// fill writes data to disk and closes f.
func fill(f *os.File, data []byte, perm fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Sync makes the content of a file durable; fsync(2). It follows no link.
func Sync(path string) error {
	return syncAs("file", path, unix.O_NOFOLLOW|unix.O_NONBLOCK)
}

// SyncDir makes the names in a directory durable: a rename or a new file in it
// survives a loss of power only after that; fsync(2).
func SyncDir(dir string) error { return syncAs("directory", dir, 0) }

func syncAs(what, path string, flags int) error {
	f, err := os.OpenFile(path, os.O_RDONLY|flags, 0)
	if err != nil {
		return fmt.Errorf("cannot sync %s %s: %w", what, path, err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("cannot sync %s %s: %w", what, path, err)
	}
	return nil
}
