// Package filelock takes locks on files that end with their holder, however that
// ends: open file description locks, fcntl_locking(2). Unlike those of flock(2)
// anybody can see whether one is held without getting in the way of whoever is
// about to take it, and a file system of a network carries them.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/diskspace"
)

// ErrHeld says that another open file has the lock, of this process or another.
var ErrHeld = errors.New("another has the lock")

// lockedByte is the one that is locked. It is far behind the bytes of any file and
// those that SQLite locks in its own; sqlite.org/lockingv3.html.
const lockedByte = 1 << 61

// maxNote bounds what is read of a lock's file.
const maxNote = 256

func request(kind int16) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: lockedByte, Len: 1}
}

// Lock locks a file that is open for writing until Unlock, or until it is closed
// everywhere, or fails with ErrHeld. It never waits.
func Lock(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, request(unix.F_WRLCK))
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrHeld
	}
	if err != nil {
		return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

// Unlock gives the lock of a file back and closes it. To close it is not enough while a
// process is being started: until that executes its program it has the file, too, and for
// some moments longer (close-on-exec comes behind what lets a vfork(2) continue).
func Unlock(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, request(unix.F_UNLCK))
	if err != nil {
		err = &os.PathError{Op: "unlock", Path: f.Name(), Err: err}
	}
	return errors.Join(err, f.Close())
}

// Held reports whether another open file has the lock on the file at path, and what
// that one has noted in it. A file that is not there is not locked.
func Held(path string) (held bool, note string, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, "", nil
	}
	if err != nil {
		return false, "", err
	}
	defer f.Close()
	r := request(unix.F_RDLCK) // which a read-only file may have; it conflicts with a lock for writing
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, r); err != nil {
		return false, "", &os.PathError{Op: "look at lock", Path: path, Err: err}
	}
	if r.Type == unix.F_UNLCK {
		return false, "", nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxNote))
	return true, string(data), err
}

// Named is a lock that is known by its file's name. Not safe for concurrent use.
type Named struct {
	path, note string
	file       *os.File
}

// Take makes the file at path if there is none, locks it, and notes in it who has it.
// A file that somebody removed and made again meanwhile is another one: the lock counts
// for the name. It fails with ErrHeld.
func Take(path, note string) (*Named, error) {
	l := &Named{path: path, note: note}
	if err := l.take(); err != nil {
		return nil, err
	}
	return l, nil
}

// maxTakes is how often a lock's file may be exchanged while the lock is taken.
const maxTakes = 10

func (l *Named) take() error {
	for range maxTakes {
		f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, unix.ELOOP) {
			return banger.Errorf(banger.CodeInvalid, "cannot lock %s: it is a symbolic link", l.path).WithHint("remove it")
		}
		if err != nil {
			return err
		}
		if err = Lock(f); err == nil && leadsTo(l.path, f) {
			if err = errors.Join(f.Truncate(0), writeAtStart(f, l.note)); err == nil || diskspace.IsFull(err) { // the lock is what counts
				l.file = f
				return nil
			}
		}
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("cannot lock %s: others keep removing it", l.path)
}

func writeAtStart(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// Renew takes the lock again if its file was removed or replaced. If it fails, with
// ErrHeld if another has it now, the lock that was taken is still held.
func (l *Named) Renew() error {
	if leadsTo(l.path, l.file) {
		return nil
	}
	old := l.file
	if err := l.take(); err != nil {
		return err
	}
	return old.Close()
}

// Close lets go of the lock. The file stays.
func (l *Named) Close() error { return Unlock(l.file) }

// leadsTo reports whether a path leads to an open file.
func leadsTo(path string, f *os.File) bool {
	there, err := os.Lstat(path)
	if err != nil {
		return false
	}
	ours, err := f.Stat()
	return err == nil && os.SameFile(there, ours)
}

// Prove tries whether a directory's file system keeps what daemons rely on: a lock that one
// open file has is refused to another, and memory that is mapped from a file is the file.
// SQLite's index of its log (sqlite.org/wal.html, section 8) needs that, too. On a full disk
// it tries what needs no room.
func Prove(dir string) error {
	f, err := os.CreateTemp(dir, ".locks-")
	if diskspace.IsFull(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	other, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer other.Close()
	if err := Lock(f); err != nil {
		return fmt.Errorf("its file system has no locks: %w", err)
	}
	switch err := Lock(other); {
	case err == nil:
		return errors.New("its file system's locks do not hold: two can have one")
	case !errors.Is(err, ErrHeld):
		return fmt.Errorf("its file system's locks do not hold: %w", err)
	}
	return proveMapping(f, other)
}

func proveMapping(f, other *os.File) error {
	const size = 4096
	// It has its blocks before it is mapped: to write to a hole of a full disk is SIGBUS.
	if _, err := f.WriteAt(make([]byte, size), 0); diskspace.IsFull(err) {
		return nil
	} else if err != nil {
		return err
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("its file system maps no files into memory: %w", err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	copy(memory, "mapped")
	seen := make([]byte, len("mapped"))
	if _, err := other.ReadAt(seen, 0); err != nil {
		return fmt.Errorf("its file system cannot be read while it is mapped into memory: %w", err)
	}
	if string(seen) != "mapped" {
		return errors.New("its file system does not make writes to mapped memory visible")
	}
	return nil
}
