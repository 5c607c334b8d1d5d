package sessiondir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"banger"
	"banger/internal/diskspace"
	"banger/internal/files"
	"banger/internal/guestapi"
	"banger/internal/hostid"
	"banger/internal/process"
	"banger/internal/records"
)

// ErrLocked says that somebody owns the session.
var ErrLocked = errors.New("the session has an owner")

// Directories in the making and in the deleting have a name that no session has.
const (
	creatingPrefix = ".new-"
	removingPrefix = ".removed-"
)

// Create makes the directory of a new session in parent and owns it: the caller
// must close lock, or leave it to a shim. The directory appears at once and whole,
// with its spec, a state of StatusStarting, and the lock held. If the id has a
// directory, the error is fs.ErrExist. parent is made if it does not exist. A crash of
// the machine may take the directory, or damage its files, until Settle has returned.
func Create(parent string, l guestapi.GuestLaunch) (dir string, lock *os.File, err error) {
	if !banger.ValidID(string(l.ID)) {
		return "", nil, banger.Errorf(banger.CodeInvalid, "cannot create session %.40q: not a session id", string(l.ID))
	}
	dir = filepath.Join(parent, string(l.ID))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", nil, fmt.Errorf("cannot create session %s: %w", l.ID, err)
	}
	guard, err := lockParent(parent, syscall.LOCK_SH)
	if err != nil {
		return "", nil, fmt.Errorf("cannot create session %s: %w", l.ID, err)
	}
	defer guard.Close()
	temp, err := os.MkdirTemp(parent, creatingPrefix)
	if err != nil {
		return "", nil, creationError(l.ID, err)
	}
	lock, err = populate(temp, l)
	if err == nil {
		// rename(2) refuses a directory that is not empty, so one caller wins.
		err = os.Rename(temp, dir)
	}
	if err != nil {
		if lock != nil {
			lock.Close()
		}
		os.RemoveAll(temp)
		return "", nil, creationError(l.ID, err)
	}
	return dir, lock, nil
}

// creationError says why a session could not be made, and of a full disk what helps.
func creationError(id banger.SessionID, cause error) error {
	if diskspace.IsFull(cause) {
		return banger.Errorf(banger.CodeMissing, "cannot create session %s: the VM's work disk is full: %w", id, cause).
			WithHint("make room in the guest's /root, or remove sessions that have ended")
	}
	return fmt.Errorf("cannot create session %s: %w", id, cause)
}

// populate writes the first files of a session.
func populate(dir string, l guestapi.GuestLaunch) (lock *os.File, err error) {
	boot, err := process.BootID()
	if err != nil {
		return nil, err
	}
	l.SecretEnv = records.WithoutValues(l.SecretEnv)
	spec, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, SpecName), append(spec, '\n'), 0o600); err != nil {
		return nil, err
	}
	state := State{ID: l.ID, BootID: boot, MachineID: hostid.MachineID()}
	state.Status, state.Sequence = banger.StatusStarting, 1
	if err := writeFirstState(dir, state); err != nil {
		return nil, err
	}
	return TryLock(dir)
}

// Settle makes a session's directory durable, with what Create and PutState have written.
// Whoever owns the session calls it before its end is recorded.
// A file that is not there is no error.
func Settle(dir string) error {
	return errors.Join(syncIfThere(filepath.Join(dir, SpecName)), syncIfThere(filepath.Join(dir, StateName)),
		files.SyncDir(dir), files.SyncDir(filepath.Dir(dir)))
}

// SettleState is Settle and WriteState in one, with half of the syncs.
func SettleState(dir string, s State) error {
	return errors.Join(syncIfThere(filepath.Join(dir, SpecName)), replaceState(dir, s, files.ReplaceWithSpare),
		files.SyncDir(filepath.Dir(dir)))
}

func syncIfThere(path string) error {
	err := files.Sync(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// TryLock takes over a session that has no owner. If it has one, the error is
// ErrLocked. The session is given up by closing the file.
func TryLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockName), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock session: %w", err)
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock session %s: %w", dir, err)
	}
	return f, nil
}

// Remove deletes a session's directory. The name is gone at once; a crash leaves at
// most something that Sweep deletes. A directory that does not exist is not an error.
func Remove(dir string) error {
	parent, id := filepath.Split(dir)
	doomed := filepath.Join(parent, removingPrefix+id)
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("cannot remove session %s: %w", id, err)
	}
	err := os.Rename(dir, doomed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = files.SyncDir(parent)
	}
	if err == nil {
		err = os.RemoveAll(doomed)
	}
	if err != nil {
		return fmt.Errorf("cannot remove session %s: %w", id, err)
	}
	return nil
}

// Sweep deletes what an interrupted Create or Remove has left in parent. While
// another process creates a session it leaves that to a later call.
func Sweep(parent string) error {
	guard, err := lockParent(parent, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, ErrLocked) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot clean up directory %s: %w", parent, err)
	}
	defer guard.Close()
	entries, err := os.ReadDir(parent)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), creatingPrefix) || strings.HasPrefix(e.Name(), removingPrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(parent, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot clean up directory %s: %w", parent, err)
	}
	return nil
}

// lockParent keeps Create, which shares it, and Sweep apart.
func lockParent(parent string, how int) (*os.File, error) {
	f, err := os.Open(parent)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), how); err {
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return ErrLocked
		default:
			return os.NewSyscallError("flock", err)
		}
	}
}
