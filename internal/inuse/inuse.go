// Package inuse notes which VMs need what installations share. Installations may share their
// images and kernels (XDG_DATA_HOME) and not their stores, so no store knows all the VMs.
package inuse

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"banger/internal/filelock"
)

// Notes is the directory with the notes about things of one kind: its directory ID has a link to
// the directory of each VM that needs the thing with that id. A link whose VM is gone says
// nothing. Safe for concurrent use, also by several processes.
type Notes string

// ErrGone says that the thing to be used is not there.
var ErrGone = errors.New("its files are gone")

// Add notes that the VM whose directory is vm needs a thing, whose files are at path. It fails
// with ErrGone if somebody has removed those. To note it again does no harm.
func (n Notes) Add(id, path, vm string) error {
	lock, err := n.Lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer lock.Close()
	link := filepath.Join(string(n), id, filepath.Base(vm))
	if was, err := os.Readlink(link); err == nil && was == vm {
		return nil
	}
	err = os.MkdirAll(filepath.Dir(link), 0o700)
	if err == nil {
		err = os.Remove(link) // of an installation that was moved
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Symlink(vm, link)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return errors.Join(ErrGone, err)
	}
	return nil
}

// Users returns the directories of the VMs that need a thing. Who wants to act upon that holds
// the lock.
func (n Notes) Users(id string) ([]string, error) {
	dir := filepath.Join(string(n), id)
	links, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var vms []string
	for _, l := range links {
		vm, err := os.Readlink(filepath.Join(dir, l.Name()))
		if err != nil {
			continue
		}
		if _, err := os.Lstat(vm); !errors.Is(err, fs.ErrNotExist) {
			vms = append(vms, vm)
		}
	}
	return vms, nil
}

// Forget removes what is noted about a thing that is gone.
func (n Notes) Forget(id string) error { return os.RemoveAll(filepath.Join(string(n), id)) }

// Lock keeps others from removing a thing (unix.LOCK_SH), or from beginning to use one as well
// (unix.LOCK_EX), until the file is closed. Nobody holds it for long.
func (n Notes) Lock(how int) (*os.File, error) {
	if err := os.MkdirAll(string(n), 0o700); err != nil {
		return nil, err
	}
	return filelock.Flock(filepath.Join(string(n), "lock"), how)
}
