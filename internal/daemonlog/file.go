// Package daemonlog is the log of a daemon that was started on demand: bounded by
// construction, whatever a guest has it say and however often.
package daemonlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// MaxBytes is the limit of the log. One that is full becomes the old log, which has the
// name with OldSuffix, in place of the one before.
const (
	MaxBytes  = 8 << 20
	OldSuffix = ".1"
)

// File is a log with its old log. Safe for concurrent use.
type File struct {
	path string
	max  int64

	mu   sync.Mutex // guards the fields below
	file *os.File
	size int64
}

// Open opens the log at path to append to it.
func Open(path string) (*File, error) { return open(path, MaxBytes) }

func open(path string, limit int64) (*File, error) {
	l := &File{path: path, max: limit}
	if err := l.reopen(); err != nil {
		return nil, err
	}
	return l, nil
}

// Write implements io.Writer. What does not fit begins the next log; a piece longer than
// that is cut. On a full disk it fails, and the old log is given up with the next piece
// that begins a log.
func (l *File) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole := len(p)
	p = p[:min(int64(whole), l.max)]
	if l.size+int64(len(p)) > l.max {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	if err != nil {
		return n, err
	}
	return whole, nil
}

// TakeOver makes this process's stdout and stderr the log, now and whenever the next one
// begins: what the runtime says when it gives up is in the log, too.
func (l *File) TakeOver() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.standard()
}

func (l *File) standard() error {
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(l.file.Fd()), fd, 0); err != nil {
			return fmt.Errorf("cannot take over descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// next begins the next log. Where the descriptors of the process lead to this one, they
// lead to that then.
func (l *File) next() error {
	taken := sameFile(l.file, os.Stderr)
	if err := os.Rename(l.path, l.path+OldSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot begin the next log: %w", err)
	}
	if err := l.reopen(); err != nil {
		return err
	}
	if taken {
		return l.standard()
	}
	return nil
}

func sameFile(a, b *os.File) bool {
	ai, aErr := a.Stat()
	bi, bErr := b.Stat()
	return aErr == nil && bErr == nil && os.SameFile(ai, bi)
}

func (l *File) reopen() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Close closes the log, but not what TakeOver took.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
