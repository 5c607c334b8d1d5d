package pid1

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// treeCopy copies a directory with all that is in it. Links are never followed: what an image
// says by them is for the running system.
type treeCopy struct {
	links map[inode]string // the copy of each file that has several names
}

// inode identifies a file of a source.
type inode struct{ dev, ino uint64 }

// copyTree copies the directory from to a new one, with owners, modes, times, extended
// attributes, links and devices as they are. What it made stays if it fails.
func copyTree(from, to string) error {
	c := &treeCopy{links: map[inode]string{}}
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	return c.entry(from, to, info)
}

func (c *treeCopy) entry(from, to string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("cannot copy %s: its system does not say what it is", from)
	}
	id := inode{stat.Dev, stat.Ino}
	if !info.IsDir() && stat.Nlink > 1 {
		if first := c.links[id]; first != "" {
			return os.Link(first, to)
		}
		c.links[id] = to
	}
	var err error
	switch {
	case info.IsDir():
		err = c.directory(from, to)
	case info.Mode().IsRegular():
		err = copyFile(from, to)
	case info.Mode()&fs.ModeSymlink != 0:
		var target string
		if target, err = os.Readlink(from); err == nil {
			err = os.Symlink(target, to)
		}
	default:
		err = unix.Mknod(to, stat.Mode, int(stat.Rdev))
	}
	if err != nil {
		return err
	}
	return copyAttributes(from, to, stat)
}

func (c *treeCopy) directory(from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if err := c.entry(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), info); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// copyAttributes gives a copy the attributes of its source: the owner first, since a change
// of it takes away file capabilities and the setuid bit, and the times last.
func copyAttributes(from, to string, stat *syscall.Stat_t) error {
	if err := os.Lchown(to, int(stat.Uid), int(stat.Gid)); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(to, stat.Mode&0o7777); err != nil {
			return &os.PathError{Op: "chmod", Path: to, Err: err}
		}
	}
	if err := copyExtended(from, to); err != nil {
		return err
	}
	times := []unix.Timespec{unix.Timespec(stat.Atim), unix.Timespec(stat.Mtim)}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, to, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: to, Err: err}
	}
	return nil
}

// maxExtended bounds the names of a file's extended attributes, and each value: the
// kernel's XATTR_LIST_MAX and XATTR_SIZE_MAX.
const maxExtended = 64 << 10

func copyExtended(from, to string) error {
	list := make([]byte, maxExtended)
	n, err := unix.Llistxattr(from, list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "listxattr", Path: from, Err: err}
	}
	value := make([]byte, maxExtended)
	for _, name := range splitNames(list[:n]) {
		n, err := unix.Lgetxattr(from, name, value)
		if err == nil {
			err = unix.Lsetxattr(to, name, value[:n], 0)
		}
		if err != nil {
			return &os.PathError{Op: "copy attribute " + name + " of", Path: from, Err: err}
		}
	}
	return nil
}

// splitNames splits a list of listxattr(2), in which each name ends with a zero byte.
func splitNames(list []byte) []string {
	var names []string
	for len(list) > 0 {
		name := unix.ByteSliceToString(list)
		names = append(names, name)
		list = list[min(len(name)+1, len(list)):]
	}
	return names
}
