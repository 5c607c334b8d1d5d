package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"banger/internal/filelock"

	"golang.org/x/sys/unix"

	"banger"
)

// pullPrefix begins the name of a directory in the directory of kernels in which one is being
// made, or deleted. Whoever does that keeps a lock (flock(2)) on it: one that is not locked is a
// leftover.
const pullPrefix = ".pull-"

// The names in such a directory.
const (
	kernelPart   = "kernel" // becomes the kernel
	packagePart  = "package.deb"
	replacedPart = "replaced"
)

// shelf is the directory of kernels.
type shelf struct {
	dir string
	log *slog.Logger
	mu  sync.Mutex // guards the making of such directories against their removal
}

// workplace is one.
type workplace struct {
	dir  string
	lock *os.File
}

// newWorkplace makes one.
func (s *shelf) newWorkplace() (*workplace, error) {
	s.mu.Lock() // else sweep could find the directory before it is locked
	defer s.mu.Unlock()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, pullPrefix)
	if err != nil {
		return nil, err
	}
	lock, err := filelock.FlockDir(dir)
	if err == nil {
		if err = os.Mkdir(filepath.Join(dir, kernelPart), 0o700); err == nil {
			return &workplace{dir, lock}, nil
		}
		lock.Close()
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

func (f *workplace) kernel() string { return filepath.Join(f.dir, kernelPart) }

// remove removes the directory with all that is in it.
func (f *workplace) remove() error {
	defer f.lock.Close()
	return os.RemoveAll(f.dir)
}

// publish makes a kernel durable and gives it its place; a broken one of the same content that
// is there gives way.
func (s *shelf) publish(f *workplace, id banger.KernelID) error {
	kernels, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer kernels.Close()
	if err := unix.Syncfs(int(kernels.Fd())); err != nil { // one call for a thousand files
		return fmt.Errorf("cannot sync directory %s: %w", kernels.Name(), err)
	}
	to := filepath.Join(s.dir, string(id))
	if err := os.Rename(to, filepath.Join(f.dir, replacedPart)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(f.kernel(), to); err != nil {
		return err
	}
	return kernels.Sync()
}

// remove removes the files of a kernel: first its name, then the rest, so that none is ever
// there in part.
func (s *shelf) remove(id banger.KernelID) error {
	f, err := s.newWorkplace()
	if err != nil {
		return fmt.Errorf("cannot delete kernel %s: %w", id, err)
	}
	err = os.Rename(filepath.Join(s.dir, string(id)), filepath.Join(f.dir, replacedPart))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, f.remove())
}

// Sweep removes what interrupted pulls have left.
func (s *Service) Sweep() error { return s.shelf.sweep() }

// sweep is Service.Sweep.
func (s *shelf) sweep() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	leftovers, err := filepath.Glob(filepath.Join(s.dir, pullPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range leftovers {
		lock, err := filelock.FlockDir(dir)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.log.Info("removing what an interrupted pull of a kernel left", "directory", dir)
		if err := (&workplace{dir, lock}).remove(); err != nil {
			s.log.Warn("cannot remove what an interrupted pull of a kernel left", "directory", dir, "error", err)
		}
	}
	return nil
}
