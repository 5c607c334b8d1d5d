package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/diskusage"
	"banger/internal/files"
	"banger/internal/paths"
	"banger/internal/vmm"
)

// TrashTime is how long something is in the trash at least before it is removed without a request.
const TrashTime = 7 * 24 * time.Hour

// What is in the trash is named by the VM's id and the time at which it was moved; why
// is in a file in it.
const (
	trashTimeFormat = "20060102T150405Z"
	trashNoteName   = "trashed.json"
	maxTrashNote    = 64 << 10
)

// trashNote is the content of that file.
type trashNote struct {
	MovedAt time.Time `json:"moved_at"`
	Why     string    `json:"why"`
}

// Trash implements banger.TrashService.
type Trash struct {
	paths   paths.Paths
	drivers vmm.Drivers
	log     *slog.Logger
}

// put moves a directory that no VM is known by to the trash, unless something uses it.
func (s *Trash) put(ctx context.Context, id banger.VMID, why string) error {
	dir := s.paths.VM(id)
	release, err := s.unused(ctx, dir)
	if err != nil {
		return err
	}
	defer release()
	at := now()
	note, err := json.Marshal(trashNote{MovedAt: at, Why: why})
	if err != nil {
		return err
	}
	if err := files.Write(filepath.Join(dir, trashNoteName), note, 0o600); err != nil {
		s.log.Warn("cannot note why a directory is in the trash", "vm", id, "why", why, "cause", err)
	}
	if err := os.MkdirAll(s.paths.VMTrash(), 0o700); err != nil {
		return err
	}
	to := filepath.Join(s.paths.VMTrash(), string(id)+"-"+at.Format(trashTimeFormat))
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("cannot move %s: %s exists", dir, to)
	}
	if err := os.Rename(dir, to); err != nil {
		return err
	}
	s.log.Warn("a directory that no VM is known by is in the trash", "vm", id, "path", to, "why", why)
	return errors.Join(files.SyncDir(s.paths.VMTrash()), files.SyncDir(s.paths.VMs()))
}

// unused fails with CodeInUse while a machine may run in a directory, is being started
// in it, or a file of it is locked. Until release is called no machine is started there.
func (s *Trash) unused(ctx context.Context, dir string) (release func(), err error) {
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, inUse(dir, "it is locked")
	}
	if err := s.checkIdle(ctx, dir); err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}

// checkIdle fails with CodeInUse while a machine may run in a directory, or a file of it is
// locked.
func (s *Trash) checkIdle(ctx context.Context, dir string) error {
	ref, err := os.ReadFile(filepath.Join(dir, vmm.MachineRefName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := s.checkNotRunning(ctx, dir, ref); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if locked, err := fileLocked(filepath.Join(dir, e.Name())); err != nil || locked {
			return errors.Join(inUse(dir, "its file "+e.Name()+" is in use"), err)
		}
	}
	return nil
}

// checkNotRunning fails with CodeInUse if a driver knows the machine that is noted in a
// directory, and it may run.
func (s *Trash) checkNotRunning(ctx context.Context, dir string, ref json.RawMessage) error {
	for _, driver := range s.drivers.Starters() {
		m, err := driver.Adopt(ctx, ref)
		if err == nil {
			return errors.Join(inUse(dir, "its machine runs"), m.Close())
		}
		if !errors.Is(err, vmm.ErrMachineGone) && banger.CodeOf(err) != banger.CodeCorrupt {
			return inUse(dir, "its machine may run: "+err.Error())
		}
	}
	return nil
}

func inUse(dir, why string) error {
	return banger.Errorf(banger.CodeInUse, "cannot remove %s: %s", dir, why)
}

// fileLocked reports whether some process has a record lock on a file, as what runs a
// guest has on its disks; F_OFD_GETLK of fcntl(2).
func fileLocked(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type != unix.F_UNLCK, err
}

// ListTrash implements banger.TrashService.
func (s *Trash) ListTrash(ctx context.Context) ([]banger.Trashed, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	var all []banger.Trashed
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if t, ok := s.trashed(ctx, e.Name()); ok {
			all = append(all, t)
		}
	}
	slices.SortStableFunc(all, func(a, b banger.Trashed) int { return a.MovedAt.Compare(b.MovedAt) })
	return all, nil
}

// entries are those of the trash.
func (s *Trash) entries() ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(s.paths.VMTrash())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the trash: %w", err)
	}
	return entries, nil
}

// parseTrashName returns what the name of a directory in the trash says, if it is one.
func parseTrashName(name string) (id banger.VMID, at time.Time, ok bool) {
	begin, stamp, _ := strings.Cut(name, "-")
	at, err := time.Parse(trashTimeFormat, stamp)
	return banger.VMID(begin), at, err == nil && banger.ValidID(begin)
}

// trashed describes one directory in the trash, if it is one.
func (s *Trash) trashed(ctx context.Context, name string) (t banger.Trashed, ok bool) {
	id, at, ok := parseTrashName(name)
	if !ok {
		return t, false
	}
	t = banger.Trashed{Path: filepath.Join(s.paths.VMTrash(), name), VMID: id, MovedAt: at}
	took, err := diskusage.Of(t.Path)
	if err != nil {
		t.Busy = err.Error()
		return t, true
	}
	t.Bytes = took.Bytes()
	if file, err := os.Open(filepath.Join(t.Path, trashNoteName)); err == nil {
		var note trashNote
		if json.NewDecoder(io.LimitReader(file, maxTrashNote)).Decode(&note) == nil {
			t.Why = note.Why
		}
		file.Close()
	}
	release, err := s.unused(ctx, t.Path)
	if err != nil {
		t.Busy = err.Error()
		return t, true
	}
	release()
	return t, true
}

// EmptyTrash implements banger.TrashService.
func (s *Trash) EmptyTrash(ctx context.Context) ([]banger.Trashed, error) {
	return s.remove(ctx, func(banger.Trashed) bool { return true })
}

// remove removes those directories in the trash for which due is.
func (s *Trash) remove(ctx context.Context, due func(banger.Trashed) bool) (removed []banger.Trashed, err error) {
	all, err := s.ListTrash(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, t := range all {
		if ctx.Err() != nil {
			return removed, context.Cause(ctx)
		}
		if t.Busy != "" || !due(t) {
			continue
		}
		if err := os.RemoveAll(t.Path); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove %s: %w", t.Path, err))
			continue
		}
		s.log.Info("a directory in the trash has been removed", "path", t.Path, "moved_at", t.MovedAt, "why", t.Why)
		removed = append(removed, t)
	}
	return removed, errors.Join(errs...)
}

// Between two looks for what is too old in the trash. The first look after a start
// only notes what is: so a clock that was wrong for a moment removes nothing.
const (
	trashFirstPause = time.Hour
	trashPause      = 24 * time.Hour
)

// keep removes from the trash what has been too old at two looks, until ctx ends.
func (s *Trash) keep(ctx context.Context) {
	old := map[string]bool{}
	for pause := trashFirstPause; ; pause = trashPause {
		var err error
		if old, err = s.expire(ctx, old); err != nil && ctx.Err() == nil {
			s.log.Error("cannot look after the trash", "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// expire removes what is too old now and was so before, and returns what was too
// old now.
func (s *Trash) expire(ctx context.Context, before map[string]bool) (old map[string]bool, err error) {
	old, at := map[string]bool{}, now()
	_, err = s.remove(ctx, func(t banger.Trashed) bool {
		if at.Sub(t.MovedAt) < TrashTime {
			return false
		}
		old[t.Path] = true
		return before[t.Path]
	})
	return old, err
}
