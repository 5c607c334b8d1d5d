package pid1

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"banger/internal/guestconfig"
)

// What an image has in /root is copied to a new work disk, which is mounted there. It is
// complete in seedReady before any of it gets its place, so that a boot that is cut off is
// continued by the next one, and a disk that was used is left alone.
const (
	seedReady     = ".banger-home"
	seedCopying   = seedReady + copyingSuffix
	copyingSuffix = ".new"       // of what is not complete
	lostFound     = "lost+found" // of mkfs
)

// seedHome copies what is in home to a disk that has nothing yet.
func seedHome(home, disk string) error {
	ready := filepath.Join(disk, seedReady)
	if _, err := os.Lstat(ready); errors.Is(err, fs.ErrNotExist) {
		fresh, err := isFresh(disk)
		if err != nil || !fresh {
			return err
		}
		if err := storeHome(home, ready); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	entries, err := os.ReadDir(ready)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(ready, e.Name()), filepath.Join(disk, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(ready)
}

// isFresh reports whether a disk has nothing of anybody's.
func isFresh(disk string) (bool, error) {
	entries, err := os.ReadDir(disk)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Name() != lostFound && e.Name() != seedCopying {
			return false, nil
		}
	}
	return true, nil
}

// syncFileSystem writes out all of the file system that a directory is in.
func syncFileSystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return nil
}

// mountWorkDisk mounts the work disk over the image's /root, with what the image has there.
func mountWorkDisk(node string) error {
	home := newRoot + guestconfig.WorkDir
	work := mount{node, workMount, "ext4", 0, ""}
	if err := work.do(); err != nil {
		return fmt.Errorf("cannot use the work disk: %w", err)
	}
	if err := seedHome(home, workMount); err != nil {
		err = fmt.Errorf("cannot copy %s of the image to the work disk: %w", guestconfig.WorkDir, err)
		if errors.Is(err, unix.ENOSPC) {
			err = fmt.Errorf("%w; create the VM with a larger --work-disk", err)
		}
		return errors.Join(err, unix.Unmount(workMount, 0))
	}
	if err := os.Chmod(workMount, 0o700); err != nil {
		return fmt.Errorf("cannot protect %s: %w", guestconfig.WorkDir, err)
	}
	return moveMount(workMount, home)
}
