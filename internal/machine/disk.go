package machine

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"banger"
	"banger/internal/guestconfig"
)

// diskTimeout bounds one use of a disk: while it lasts, the VM cannot be started,
// and what is on the disk is a guest's.
const diskTimeout = 30 * time.Second

// ReadSessions calls f with the folder of the session directories on the work disk
// of a VM that does not run, and that is not started meanwhile. A VM that runs is
// CodeState. f has to heed its context.
func (s *Service) ReadSessions(ctx context.Context, id banger.VMID, f func(context.Context, fs.FS) error) error {
	for {
		ending, err := s.readSessionsOnce(ctx, id, f)
		if err != nil || ending == nil {
			return err
		}
		if err := ending.waitReleased(ctx); err != nil {
			return err
		}
	}
}

// readSessionsOnce is ReadSessions, but returns a run that is about to end.
func (s *Service) readSessionsOnce(ctx context.Context, id banger.VMID, f func(context.Context, fs.FS) error) (ending *run, err error) {
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s.ctx.Err() != nil {
		return nil, errDaemonStops // nobody would wait for what is adopted now
	}
	r, err := s.findRun(ctx, id)
	if err != nil {
		return nil, err
	}
	if r != nil && r.machineDone() {
		return r, nil
	}
	if r != nil {
		return nil, banger.Errorf(banger.CodeState, "cannot read the disk of VM %s: its machine runs", id)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, diskTimeout, fmt.Errorf("reading the disk of VM %s takes longer than %s", id, diskTimeout))
	defer cancel()
	return nil, s.Disks.ReadDisk(ctx, filepath.Join(s.Paths.VM(id), workDiskName), func(disk fs.FS) error {
		sessions, err := fs.Sub(disk, guestconfig.SessionsOnDisk)
		if err != nil {
			return err
		}
		return f(ctx, sessions)
	})
}
