package machine

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/keylock"
	"banger/internal/vmm"
)

// diskTimeout bounds one use of a disk: while it lasts, the VM cannot be started,
// and what is on the disk is a guest's.
const diskTimeout = 30 * time.Second

// DiskReader reads the disks of VMs that do not run.
type DiskReader struct {
	locks   *keylock.Locks[banger.VMID]
	store   Store
	drivers vmm.Drivers
	adopter *adopter
	disks   *workDisks
	images  Images
	tasks   *tasks
}

// ReadSessions calls f with the directory of the session directories on the work disk
// of a VM that does not run, and that is not started meanwhile. A VM that runs is
// CodeState. f must end with its context.
func (s *DiskReader) ReadSessions(ctx context.Context, id banger.VMID, f func(context.Context, fs.FS) error) error {
	return s.whileStopped(ctx, id, func(banger.VM) error { return s.disks.read(ctx, id, diskTimeout, f) })
}

// whileStopped calls f while a VM does not run and is not started. A VM that runs is
// CodeState.
func (s *DiskReader) whileStopped(ctx context.Context, id banger.VMID, f func(banger.VM) error) error {
	for {
		ending, err := s.onceStopped(ctx, id, f)
		if err != nil || ending == nil {
			return err
		}
		if err := ending.waitReleased(ctx); err != nil {
			return err
		}
	}
}

// onceStopped is whileStopped, but returns a run that is about to end.
func (s *DiskReader) onceStopped(ctx context.Context, id banger.VMID, f func(banger.VM) error) (ending *run, err error) {
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s.tasks.ctx.Err() != nil {
		return nil, errDaemonStops // nobody would wait for what is adopted now
	}
	vm, err := s.store.GetVM(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.drivers.Require(vm, banger.CanReadDisk, "read the disk of"); err != nil {
		return nil, err
	}
	r, err := s.adopter.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if r != nil && r.machineDone() {
		return r, nil
	}
	if r != nil {
		return nil, banger.Errorf(banger.CodeState, "cannot read the disk of VM %s: its machine runs", id)
	}
	return nil, f(vm)
}

// workDisks are those of the VMs.
type workDisks struct {
	disks Disks
	homes *homes
}

// read calls f with the directory of the session directories on a work disk. The
// caller has a right to the disk: it holds the VM's lock while nothing runs, or the
// run of a machine that has ended.
func (w *workDisks) read(ctx context.Context, id banger.VMID, limit time.Duration, f func(context.Context, fs.FS) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("reading the disk of VM %s takes longer than %s", id, limit.Round(time.Millisecond)))
	defer cancel()
	return w.disks.ReadDisk(ctx, filepath.Join(w.homes.dir(id), workDiskName), func(disk fs.FS) error {
		sessions, err := fs.Sub(disk, guestconfig.SessionsOnDisk)
		if err != nil {
			return err
		}
		return f(ctx, sessions)
	})
}
