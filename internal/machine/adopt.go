package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"banger"
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

// patience is how long the ends of so many machines are waited for.
func (s *Service) patience(vms []banger.VM, ends int) time.Duration {
	if slices.ContainsFunc(vms, func(vm banger.VM) bool { return vm.SessionsUnknown }) {
		return lostPatience
	}
	if ends > endsParallel {
		return manyEndsPatience
	}
	return endsPatience
}

// Adopt takes over the machines that an earlier daemon started, records the end
// of those that run no more, and brings records and directories in line. It does not
// wait for guests, nor for long for disks: the ends that are not recorded when it returns
// are recorded after it, and whoever needs such a VM waits for its end alone. A machine that
// cannot be adopted makes its VM a failed one and hinders nobody else.
func (s *Service) Adopt(ctx context.Context) error {
	if err := s.knownAgain(ctx); err != nil {
		return err
	}
	vms, err := s.Store.ListVMs(ctx)
	if err != nil {
		return err
	}
	s.noteImages(vms)
	if err := s.noteCapabilities(ctx, vms); err != nil {
		return err
	}
	s.stops.Go(func() { s.keepTrash(s.ctx) })
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
func (s *Service) recordEnds(ended []*endedVM) (recorded <-chan error) {
	done := make(chan error, 1)
	s.stops.Go(func() {
		var group errgroup.Group
		group.SetLimit(endsParallel)
		for _, e := range ended {
			group.Go(func() error {
				defer e.unlock()
				if s.ctx.Err() != nil {
					return errDaemonStops // the next one records it
				}
				err := e.record(s.ctx)
				if err != nil {
					s.Log.Error("cannot record the end of a machine", "vm", e.vm.ID, "cause", err)
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
func (s *Service) adoptAtStart(ctx context.Context, vm banger.VM) (*endedVM, error) {
	unlock, err := s.locks.Lock(ctx, vm.ID)
	if err != nil {
		return nil, err
	}
	if (vm.State == banger.VMStopped || vm.State == banger.VMFailed) && !s.mayRun(ctx, vm) {
		// Its sessions have ended too, but the last daemon may have died between.
		sessions, err := s.Store.ListSessions(ctx, vm.ID)
		if err != nil || !slices.ContainsFunc(sessions, func(x banger.Session) bool { return !x.Status.Ended() || x.Survivors != nil }) && !vm.SessionsUnknown {
			unlock()
			return nil, err
		}
		return &endedVM{vm, func(ctx context.Context) error {
			return s.endSessions(ctx, vm.ID, banger.EndedByVMLost, time.Time{}, diskTimeout)
		}, unlock}, nil
	}
	_, why, cause := s.tryAdopt(ctx, vm)
	if why != "" {
		return &endedVM{vm, func(ctx context.Context) error { return s.recordLost(ctx, vm.ID, why) }, unlock}, nil
	}
	defer unlock()
	if cause == nil {
		return nil, nil
	}
	s.Log.Error("cannot adopt machine", "vm", vm.ID, "cause", cause)
	_, err = s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		vm.State, vm.LastError = banger.VMFailed, "cannot adopt the machine, which may still run: "+cause.Error()
		return nil
	})
	return nil, err
}

// findRun returns the run of a VM, nil if it has none. A machine that could not
// be adopted when the daemon started is tried again, and so is one of which only its
// driver's note tells: while it may run, no second one is started, and nothing of it is
// removed. The caller holds the VM's lock.
func (s *Service) findRun(ctx context.Context, id banger.VMID) (*run, error) {
	if r := s.run(id); r != nil {
		return r, nil
	}
	vm, err := s.Store.GetVM(ctx, id)
	if err != nil || !s.mayRun(ctx, vm) {
		return nil, err
	}
	r, why, err := s.tryAdopt(ctx, vm)
	if why != "" {
		err = s.recordLost(ctx, vm.ID, why)
	}
	return r, err
}

// mayRun reports whether a VM may have a machine: the record says so, or the note of its
// driver names one that lives.
func (s *Service) mayRun(ctx context.Context, vm banger.VM) bool {
	if vm.Machine != nil {
		return true
	}
	ref, err := s.machineRef(vm)
	if err != nil || ref == nil {
		return err != nil
	}
	m, err := s.adoptBy(ctx, vm, ref)
	if err == nil {
		_ = m.Close()
		return true
	}
	return !errors.Is(err, vmm.ErrMachineGone) && banger.CodeOf(err) != banger.CodeCorrupt
}

// adoptBy has the driver of a VM adopt its machine.
func (s *Service) adoptBy(ctx context.Context, vm banger.VM, ref json.RawMessage) (vmm.Machine, error) {
	driver, err := s.Drivers.Of(vm)
	if err != nil {
		return nil, err
	}
	return driver.Adopt(ctx, ref)
}

// tryAdopt brings one VM's record in line with its machine and returns its run, or if the
// machine has ended, why that is known: then nothing is recorded yet.
func (s *Service) tryAdopt(ctx context.Context, vm banger.VM) (r *run, ended string, err error) {
	ref, err := s.machineRef(vm)
	if err != nil {
		return nil, "", err
	}
	var m vmm.Machine
	if ref != nil {
		m, err = s.adoptBy(ctx, vm, ref)
	}
	switch {
	case ref == nil || errors.Is(err, vmm.ErrMachineGone):
		return nil, "the machine ended while no daemon was running", nil
	case banger.CodeOf(err) == banger.CodeCorrupt:
		// Nothing will ever find it; the driver's locks protect its disks.
		return nil, err.Error(), nil
	case err != nil:
		return nil, "", errors.Join(err, s.keepRef(ctx, vm.ID, ref))
	}
	var hostKey string
	if _, ours := m.(vmm.Dialer); ours {
		_, hostKey, err = s.readHostKey(vm.ID)
	}
	if err != nil {
		// Without it there is no link, but the machine can be stopped.
		s.Log.Error("cannot reach the guest of a machine", "vm", vm.ID, "cause", err)
	}
	if err := s.storeMachine(ctx, vm.ID, m); err != nil {
		return nil, "", errors.Join(err, m.Close())
	}
	s.Log.Info("adopted machine", "vm", vm.ID, "pid", m.Info().PID)
	r = s.beginRun(vm, m, hostKey)
	if vm.State == banger.VMStopping {
		s.stops.Go(func() { _ = s.endMachine(r, adoptedStopGrace) }) // it logs its failure
	}
	return r, "", nil
}

// adoptedStopGrace is the grace time of a stop whose own was not recorded. The
// guest may have been asked already or not; killed at once, it would lose what it
// has not written to its disk.
const adoptedStopGrace = banger.DefaultVMStopGrace

// machineRef returns how to adopt the machine of a VM, nil if there is none. If
// the daemon died between starting it and storing that, the driver's own note tells.
func (s *Service) machineRef(vm banger.VM) (json.RawMessage, error) {
	if vm.Machine != nil {
		return vm.Machine, nil
	}
	note, err := os.ReadFile(filepath.Join(s.Paths.VM(vm.ID), vmm.MachineRefName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return note, err
}

// keepRef makes sure that a machine which may run is not forgotten.
func (s *Service) keepRef(ctx context.Context, id banger.VMID, ref json.RawMessage) error {
	_, err := s.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.Machine = ref
		return nil
	})
	return err
}

// recordLost records that a machine ended unseen, and why. One whose guest had said that it
// powers off has stopped. Its sessions come first, so that a crash in between leaves what
// the next daemon records again.
func (s *Service) recordLost(ctx context.Context, id banger.VMID, why string) error {
	vm, err := s.Store.GetVM(ctx, id)
	if err != nil {
		return err
	}
	cause, by := banger.EndedByVMLost, banger.StoppedByKilled
	if s.poweredOff(vm) {
		by = banger.StoppedByGuest
	}
	if vm.State == banger.VMStopping || by == banger.StoppedByGuest {
		cause = banger.EndedByVMStopped
	}
	if err := s.endSessions(ctx, id, cause, time.Time{}, diskTimeout); err != nil {
		return err
	}
	_, err = s.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		forgetMachine(vm)
		if cause == banger.EndedByVMStopped {
			vm.State, vm.LastError, vm.StoppedBy = banger.VMStopped, "", by
			return nil
		}
		vm.State, vm.LastError = banger.VMFailed, why
		return nil
	})
	return err
}

// poweredOff reports whether the guest of a machine that has ended had said that it powers off.
func (s *Service) poweredOff(vm banger.VM) bool {
	ref, err := s.machineRef(vm)
	if err != nil || ref == nil {
		return false
	}
	driver, err := s.Drivers.Starter(vm, "stop")
	return err == nil && driver.PoweredOff(ref)
}

// forgetMachine takes from a VM's record what only a running machine has.
func forgetMachine(vm *banger.VM) {
	vm.Machine, vm.SSHAddress, vm.BootID, vm.Accelerator, vm.EndsWith, vm.StoppedAt = nil, "", "", "", "", now()
}

// noteCapabilities has the records say what this build can do with the machines. Of a VM
// whose driver it does not have, what another build could stays.
func (s *Service) noteCapabilities(ctx context.Context, vms []banger.VM) error {
	for _, vm := range vms {
		can := s.Drivers.Capabilities(vm)
		if can == nil || slices.Equal(can, vm.Capabilities) {
			continue
		}
		if _, err := s.Store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
			vm.Capabilities = can
			return nil
		}); err != nil {
			return fmt.Errorf("cannot record what can be done with VM %s: %w", vm.Name, err)
		}
	}
	return nil
}

// noteImages notes which images the VMs use: those of an older daemon have not.
func (s *Service) noteImages(vms []banger.VM) {
	for _, vm := range vms {
		if vm.ImageID == "" {
			continue
		}
		if err := s.Images.Use(vm.ImageID, s.Paths.VM(vm.ID)); err != nil {
			s.Log.Warn("cannot note that a VM uses its image", "vm", vm.ID, "image", vm.ImageID, "cause", err)
		}
	}
}
