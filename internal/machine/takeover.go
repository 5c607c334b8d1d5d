package machine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/keylock"
	"banger/internal/vmm"
)

// How many machines are adopted at once, and of how many that have ended the disks are
// read. The one waits for others; the other is work.
const (
	adoptParallel = 32
	endsParallel  = 4
)

// How long clients wait until the ends of machines are recorded that no daemon saw. Those
// of a few are mostly recorded by then; of many the last would be waited for by all.
const (
	endsPatience     = time.Second
	manyEndsPatience = 100 * time.Millisecond // of more than are recorded at once
)

// lostPatience is that after a loss of the store: until the disks have been read, sessions
// are missing.
const lostPatience = 15 * time.Second

// takeover is what a daemon does first; see Services.Adopt.
type takeover struct {
	locks    *keylock.Locks[banger.VMID]
	store    Store
	sessions SessionRecords
	drivers  vmm.Drivers
	images   Images
	kernels  kernels
	homes    *homes
	adopter  *adopter
	reporter *reporter
	recovery *recovery
	trash    *Trash
	tasks    *tasks
	log      *slog.Logger
}

// patience is how long the ends of so many machines are waited for.
func (s *takeover) patience(vms []banger.VM, ends int) time.Duration {
	if slices.ContainsFunc(vms, func(vm banger.VM) bool { return vm.SessionsUnknown }) {
		return lostPatience
	}
	if ends > endsParallel {
		return manyEndsPatience
	}
	return endsPatience
}

func (s *takeover) run(ctx context.Context) error {
	if err := s.recovery.run(ctx); err != nil {
		return err
	}
	vms, err := s.store.ListVMs(ctx)
	if err != nil {
		return err
	}
	s.noteImages(vms)
	s.kernels.note(ctx, vms)
	if err := s.noteCapabilities(ctx, vms); err != nil {
		return err
	}
	s.tasks.work.Go(func() { s.trash.keep(s.tasks.ctx) })
	ended := make([]*endedVM, len(vms))
	var adopt errgroup.Group
	adopt.SetLimit(adoptParallel)
	for i, vm := range vms {
		adopt.Go(func() (err error) {
			if ended[i], err = s.adoptAtStart(ctx, vm); err != nil {
				err = fmt.Errorf("cannot record the state of VM %s: %w", vm.Name, err)
			}
			return err
		})
	}
	err = adopt.Wait()
	ended = slices.DeleteFunc(ended, func(e *endedVM) bool { return e == nil })
	recorded := s.recordEnds(ended)
	if err != nil {
		return err // what is under way ends with the service
	}
	patience := time.NewTimer(s.patience(vms, len(ended)))
	defer patience.Stop()
	select {
	case err := <-recorded:
		return err
	case <-patience.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endedVM is a VM whose machine has ended unseen. Its lock is held until that is recorded.
type endedVM struct {
	vm     banger.VM
	record func(ctx context.Context) error
	unlock func()
}

// recordEnds records ends, some at once, each disk with a time limit of its own. recorded
// gets the first error. The service waits for it when it is closed.
func (s *takeover) recordEnds(ended []*endedVM) (recorded <-chan error) {
	done := make(chan error, 1)
	s.tasks.work.Go(func() {
		var group errgroup.Group
		group.SetLimit(endsParallel)
		for _, e := range ended {
			group.Go(func() error {
				defer e.unlock()
				if s.tasks.ctx.Err() != nil {
					return errDaemonStops // the next one records it
				}
				err := e.record(s.tasks.ctx)
				if err != nil {
					s.log.Error("cannot record the end of a machine", "vm", e.vm.ID, "cause", err)
					err = fmt.Errorf("cannot record the state of VM %s: %w", e.vm.Name, err)
				}
				return err
			})
		}
		done <- group.Wait()
	})
	return done
}

// adoptAtStart fails only if the store does. Of a machine that has ended it returns what
// is to be recorded.
func (s *takeover) adoptAtStart(ctx context.Context, vm banger.VM) (*endedVM, error) {
	unlock, err := s.locks.Lock(ctx, vm.ID)
	if err != nil {
		return nil, err
	}
	if (vm.State == banger.VMStopped || vm.State == banger.VMFailed) && !s.adopter.mayRun(ctx, vm) {
		// Its sessions have ended too, but the last daemon may have died between.
		sessions, err := s.sessions.ListSessions(ctx, vm.ID)
		if err != nil || !slices.ContainsFunc(sessions, func(x banger.Session) bool { return !x.Status.Ended() || x.Survivors != nil }) && !vm.SessionsUnknown {
			unlock()
			return nil, err
		}
		return &endedVM{vm, func(ctx context.Context) error {
			return s.reporter.endSessions(ctx, vm.ID, banger.EndedByVMLost, time.Time{}, diskTimeout)
		}, unlock}, nil
	}
	_, why, cause := s.adopter.tryAdopt(ctx, vm)
	if why != "" {
		return &endedVM{vm, func(ctx context.Context) error { return s.adopter.recordLost(ctx, vm.ID, why) }, unlock}, nil
	}
	defer unlock()
	if cause == nil {
		return nil, nil
	}
	s.log.Error("cannot adopt machine", "vm", vm.ID, "cause", cause)
	_, err = s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.State, vm.LastError = banger.VMFailed, "cannot adopt the machine, which may still run: "+cause.Error()
		return nil
	})
	return nil, err
}

// noteCapabilities has the records say what this build can do with the machines. Of a VM
// whose driver it does not have, what another build could stays.
func (s *takeover) noteCapabilities(ctx context.Context, vms []banger.VM) error {
	for _, vm := range vms {
		can := s.drivers.Capabilities(vm)
		if can == nil || slices.Equal(can, vm.Capabilities) {
			continue
		}
		if _, err := s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
			vm.Capabilities = can
			return nil
		}); err != nil {
			return fmt.Errorf("cannot record what can be done with VM %s: %w", vm.Name, err)
		}
	}
	return nil
}

// noteImages notes which images the VMs use: those of an older daemon have not.
func (s *takeover) noteImages(vms []banger.VM) {
	for _, vm := range vms {
		if vm.ImageID == "" {
			continue
		}
		if err := s.images.Use(vm.ImageID, s.homes.dir(vm.ID)); err != nil {
			s.log.Warn("cannot note that a VM uses its image", "vm", vm.ID, "image", vm.ImageID, "cause", err)
		}
	}
}
