package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// OpenPath finds a source on this machine. A path that is a link means the link, unless it
// ends with a slash or follow is true.
func OpenPath(p string, follow bool) (*Opened, error) {
	if p == "" {
		return nil, fs.ErrNotExist
	}
	clean := strings.TrimRight(p, "/")
	if wantsDir(p) {
		dir, err := openDirAt(unix.AT_FDCWD, p, 0)
		if err != nil {
			return nil, pathError(p, err)
		}
		return stated(&Opened{Dir: dir, Name: ".", Contents: meansContents(p) || clean == ""})
	}
	if follow {
		resolved, err := filepath.EvalSymlinks(p)
		if err != nil {
			return nil, pathError(p, err)
		}
		clean = resolved
	}
	parent, name := filepath.Split(clean)
	if parent == "" {
		parent = "."
	}
	dir, err := openDirAt(unix.AT_FDCWD, parent, 0)
	if err != nil {
		return nil, pathError(p, err)
	}
	return stated(&Opened{Dir: dir, Name: name})
}

// ReadPath calls f with a source on this machine.
func ReadPath(ctx context.Context, p string, follow bool, f func(context.Context, *Opened) error) error {
	o, err := OpenPath(p, follow)
	if err != nil {
		return err
	}
	defer o.Close()
	return f(ctx, o)
}

// stated completes a source.
func stated(o *Opened) (*Opened, error) {
	a, err := o.Dir.Stat(o.Name)
	if err == nil && a.Type == Other {
		err = errNotCopied
	}
	if err != nil {
		o.Close()
		return nil, err
	}
	o.Attributes = a
	return o, nil
}

// pathError says what a path is that cannot be opened, and only that.
func pathError(p string, err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	return &fs.PathError{Op: "open", Path: p, Err: err}
}

// osDir is a directory of this machine.
type osDir struct{ f *os.File }

// openDirAt opens a directory. flags may be O_NOFOLLOW.
func openDirAt(at int, name string, flags int) (*osDir, error) {
	for {
		fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
		if err == nil {
			return &osDir{os.NewFile(uintptr(fd), name)}, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, err
		}
	}
}

// procPath is a path by which the directory can be opened again, whatever its name is now.
func (d *osDir) procPath() string { return fmt.Sprintf("/proc/self/fd/%d", d.fd()) }

func (d *osDir) fd() int { return int(d.f.Fd()) }

// Close implements Dir.
func (d *osDir) Close() error { return d.f.Close() }

// namesAtOnce bounds how many names of a directory are held.
const namesAtOnce = 1000

// Next implements Dir.
func (d *osDir) Next() ([]string, error) { return d.f.Readdirnames(namesAtOnce) }

// Stat implements Dir.
func (d *osDir) Stat(name string) (Attributes, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Attributes{}, err
	}
	a := attributes(&st)
	if a.Type != Symlink {
		return a, nil
	}
	target := make([]byte, maxTargetBytes+1)
	n, err := unix.Readlinkat(d.fd(), name, target)
	a.Target = string(target[:max(n, 0)])
	return a, err
}

func attributes(st *unix.Stat_t) Attributes {
	a := Attributes{
		Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, ModTime: time.Unix(st.Mtim.Unix()), Size: st.Size, Data: min(st.Size, st.Blocks*512),
		Links:  uint64(st.Nlink), //nolint:unconvert // 32 bits on arm64
		Device: st.Dev, Inode: st.Ino, Change: st.Ctim.Nano(),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		a.Type = Regular
	case unix.S_IFDIR:
		a.Type = Directory
	case unix.S_IFLNK:
		a.Type = Symlink
	default:
		a.Type = Other
	}
	return a
}

// OpenDir implements Dir.
func (d *osDir) OpenDir(name string) (Dir, error) {
	sub, err := openDirAt(d.fd(), name, unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	return sub, nil
}

// OpenFile implements Dir. What has become a FIFO meanwhile is not waited for.
func (d *osDir) OpenFile(name string) (File, error) {
	fd, err := unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	return &osFile{os.NewFile(uintptr(fd), name)}, nil
}

// Xattrs implements Dir.
func (d *osDir) Xattrs() ([]Xattr, error) { return xattrsOf(d.fd()) }

// osFile is a file of this machine.
type osFile struct{ *os.File }

// Stat implements File.
func (f *osFile) Stat() (Attributes, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Attributes{}, err
	}
	return attributes(&st), nil
}

// NextData implements File, by lseek(2).
func (f *osFile) NextData(offset int64) (begin, end int64, err error) {
	begin, err = unix.Seek(int(f.Fd()), offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		size, err := unix.Seek(int(f.Fd()), 0, io.SeekEnd)
		return size, size, err
	}
	if err == nil {
		end, err = unix.Seek(int(f.Fd()), begin, unix.SEEK_HOLE)
	}
	return begin, end, err
}

// Xattrs implements File.
func (f *osFile) Xattrs() ([]Xattr, error) { return xattrsOf(int(f.Fd())) }

// xattrsOf returns the extended attributes of an open file. Where there are none, there are
// none.
func xattrsOf(fd int) ([]Xattr, error) {
	var few [1024]byte
	names := few[:]
	n, err := unix.Flistxattr(fd, names)
	if errors.Is(err, unix.ERANGE) {
		names = make([]byte, 64<<10) // XATTR_LIST_MAX
		n, err = unix.Flistxattr(fd, names)
	}
	if errors.Is(err, unix.ENOTSUP) || n <= 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read extended attributes: %w", err)
	}
	var list []Xattr
	for name := range bytes.SplitSeq(bytes.TrimSuffix(names[:n], []byte{0}), []byte{0}) {
		if !carried(string(name)) {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(fd, string(name), value)
		if err != nil {
			continue // it was removed, or is not for us
		}
		list = append(list, Xattr{string(name), bytes.Clone(value[:n])})
	}
	return list, nil
}

// carried reports whether an extended attribute is sent at all: users' own, capabilities and
// lists of access control. The others are of the machine on which they are.
func carried(name string) bool {
	return strings.HasPrefix(name, "user.") || ownersOnly(name)
}

// ownersOnly reports whether an extended attribute only makes sense with the owners.
func ownersOnly(name string) bool {
	return name == "security.capability" || name == "system.posix_acl_access" || name == "system.posix_acl_default"
}
