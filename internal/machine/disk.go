package machine

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/vmm"
)

// diskTimeout bounds one use of a disk: while it lasts, the VM cannot be started,
// and what is on the disk is a guest's.
const diskTimeout = 30 * time.Second

// ReadSessions calls f with the directory of the session directories on the work disk
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
	vm, err := s.Store.GetVM(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.Drivers.Require(vm, banger.CanReadDisk, "read the disk of"); err != nil {
		return nil, err
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
	return nil, s.readDisk(ctx, id, diskTimeout, f)
}

// readDisk calls f with the directory of the session directories on a work disk. The
// caller has a right to the disk: it holds the VM's lock while nothing runs, or the
// run of a machine that has ended.
func (s *Service) readDisk(ctx context.Context, id banger.VMID, limit time.Duration, f func(context.Context, fs.FS) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("reading the disk of VM %s takes longer than %s", id, limit.Round(time.Millisecond)))
	defer cancel()
	return s.Disks.ReadDisk(ctx, filepath.Join(s.Paths.VM(id), workDiskName), func(disk fs.FS) error {
		sessions, err := fs.Sub(disk, guestconfig.SessionsOnDisk)
		if err != nil {
			return err
		}
		return f(ctx, sessions)
	})
}

// endSessions records what became of the sessions of a machine that ended at a time,
// zero if nobody saw that. limit bounds the reading of its disk, to which the caller has
// a right as that of readDisk.
func (s *Service) endSessions(ctx context.Context, id banger.VMID, by banger.EndedBy, at time.Time, limit time.Duration) error {
	end := s.machineEnd(id, vmm.MachineEnd{By: by, At: at}, limit)
	if err := s.Sessions.MachineEnded(ctx, id, end); err != nil {
		return err
	}
	s.takeInFromDisk(ctx, id, end)
	return nil
}

// machineEnd is an end with the disk of the VM's machine.
func (s *Service) machineEnd(id banger.VMID, end vmm.MachineEnd, limit time.Duration) vmm.MachineEnd {
	end.Disk = func(ctx context.Context, f func(context.Context, fs.FS) error) error {
		return s.readDisk(ctx, id, limit, f)
	}
	return end
}
