// Package staging makes directories that appear under their names complete or not at all, and go
// in the same way: what is being made or deleted lies in a staging directory beside them. Whoever
// has one keeps a lock (flock(2)) on it, so one that is not locked is a leftover, also after the
// death of a process.
package staging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"banger/internal/filelock"
)

// replacedPart is what is in a staging directory instead of under its name.
const replacedPart = "replaced"

// Area is a directory with complete directories, and with staging directories. Safe for
// concurrent use, also by several processes.
type Area struct {
	Path   string // made when it is needed
	Prefix string // begins the name of a staging directory, and no other
	Part   string // the name that what is being made has in a staging directory

	mu sync.Mutex // guards the making of staging directories against their removal
}

// Dir is a staging directory.
type Dir struct {
	Path string
	area *Area
	lock *os.File
}

// New makes a staging directory, with an empty directory for what is to be made.
func (a *Area) New() (*Dir, error) {
	a.mu.Lock() // else Leftovers could find the directory before it is locked
	defer a.mu.Unlock()
	if err := os.MkdirAll(a.Path, 0o700); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(a.Path, a.Prefix)
	if err != nil {
		return nil, err
	}
	lock, err := filelock.FlockDir(path)
	if err == nil {
		d := &Dir{path, a, lock}
		if err = os.Mkdir(d.Content(), 0o700); err == nil {
			return d, nil
		}
		lock.Close()
	}
	return nil, errors.Join(err, os.RemoveAll(path))
}

// Content is the directory that becomes complete.
func (d *Dir) Content() string { return filepath.Join(d.Path, d.area.Part) }

// Publish makes the content durable and gives it its name; what has that gives way.
func (d *Dir) Publish(name string) error {
	area, err := os.Open(d.area.Path)
	if err != nil {
		return err
	}
	defer area.Close()
	if err := unix.Syncfs(int(area.Fd())); err != nil { // one call for thousands of files
		return fmt.Errorf("cannot sync directory %s: %w", area.Name(), err)
	}
	if err := d.replace(name); err != nil {
		return err
	}
	if err := os.Rename(d.Content(), filepath.Join(d.area.Path, name)); err != nil {
		return err
	}
	return area.Sync()
}

// replace takes away what has a name, if anything has.
func (d *Dir) replace(name string) error {
	err := os.Rename(filepath.Join(d.area.Path, name), filepath.Join(d.Path, replacedPart))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Remove removes the staging directory with all that is in it.
func (d *Dir) Remove() error {
	return errors.Join(os.RemoveAll(d.Path), d.Abandon())
}

// Abandon leaves it to the next call of Leftovers.
func (d *Dir) Abandon() error { return d.lock.Close() }

// Discard has remove delete, by Dir.Remove, what has a name: first the name, then the rest, so
// that nothing is ever there in part. What is not there is not missed.
func (a *Area) Discard(name string, remove func(*Dir) error) error {
	d, err := a.New()
	if err != nil {
		return err
	}
	return errors.Join(d.replace(name), remove(d))
}

// Leftovers calls remove with each staging directory that nobody has. An error of remove ends
// nothing: what remains takes up space but harms nothing.
func (a *Area) Leftovers(remove func(*Dir)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	paths, err := filepath.Glob(filepath.Join(a.Path, a.Prefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		lock, err := filelock.FlockDir(path)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		remove(&Dir{path, a, lock})
	}
	return nil
}
