package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"banger"
	"banger/internal/vmm"
)

// StopVM implements banger.VMService. Once begun it is carried out, whether the
// caller waits or not; a second call with a shorter grace time shortens the first.
func (s *Service) StopVM(ctx context.Context, ref string, request banger.VMStopRequest) (banger.VM, error) {
	if err := request.Validate(); err != nil {
		return banger.VM{}, err
	}
	grace := request.WithDefaults().Grace
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return banger.VM{}, err
	}
	if err := s.Drivers.Require(vm, banger.CanPower, "stop"); err != nil {
		return vm, err
	}
	if r := s.run(vm.ID); r != nil && grace > 0 {
		if err := r.checkStoppable(ctx); err != nil {
			return banger.VM{}, fmt.Errorf("cannot stop VM %s: %w", vm.Name, err)
		}
	}
	r, err := s.markStopping(ctx, vm.ID)
	if err != nil {
		return banger.VM{}, fmt.Errorf("cannot stop VM %s: %w", vm.Name, err)
	}
	if r != nil {
		if err := s.stopAndWait(ctx, r, grace); err != nil {
			return banger.VM{}, fmt.Errorf("cannot stop VM %s: %w", vm.Name, err)
		}
	}
	return s.Store.GetVM(ctx, vm.ID)
}

// markStopping records that a VM is being stopped and returns its run, nil if it
// has none.
func (s *Service) markStopping(ctx context.Context, id banger.VMID) (*run, error) {
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := s.findRun(ctx, id)
	if err != nil {
		return nil, err
	}
	_, err = s.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		switch {
		case r == nil:
			vm.State, vm.LastError = banger.VMStopped, "" // if it had failed, its user has seen that
		case vm.State == banger.VMStarting || vm.State == banger.VMRunning || vm.State == banger.VMPaused:
			vm.State = banger.VMStopping
		}
		return nil
	})
	return r, err
}

// stopAndWait begins to end a machine, and returns when nothing of it is left.
func (s *Service) stopAndWait(ctx context.Context, r *run, grace time.Duration) error {
	ended := make(chan error, 1)
	s.stops.Go(func() { ended <- s.endMachine(r, grace) })
	select {
	case err := <-ended:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return r.waitReleased(ctx)
}

// endMachine ends a machine. If the service closes meanwhile, the machine stays
// as it is, and the next daemon continues.
func (s *Service) endMachine(r *run, grace time.Duration) error {
	if grace > 0 {
		if s.powerDown(r, grace) {
			return nil
		}
		if s.ctx.Err() != nil {
			return errDaemonStops
		}
		if status, _ := r.pauses.now(); status.Pause != vmm.NotPaused {
			return s.giveUpStop(r, status)
		}
		s.Log.Warn("guest did not power down in time", "vm", r.id, "grace", grace)
	}
	err := r.kill(s.ctx)
	if s.ctx.Err() != nil {
		return errDaemonStops
	}
	if err != nil {
		s.Log.Error("cannot kill machine", "vm", r.id, "cause", err)
	}
	return err
}

// giveUpStop leaves a machine that was paused while its guest was shutting down: it would
// lose what the guest was about to write.
func (s *Service) giveUpStop(r *run, status vmm.PauseStatus) error {
	_, err := s.Store.UpdateVM(context.WithoutCancel(s.ctx), r.id, func(vm *banger.VM) error {
		if vm.State == banger.VMStopping {
			vm.State, vm.LastError = banger.VMPaused, s.explainPause(status)
		}
		return nil
	})
	return errors.Join(r.unstoppable(status), err)
}

// powerDown asks the guest to shut down, over its link or where that is down by the power
// button, and reports whether it did so in time.
func (s *Service) powerDown(r *run, grace time.Duration) bool {
	ctx, cancel := context.WithTimeout(s.ctx, grace)
	defer cancel()
	// A guest that still boots would miss the button.
	select {
	case <-r.up:
	case <-r.machine.Done():
		return true
	case <-ctx.Done():
		return false
	}
	for {
		linked := r.nextLink()
		err := r.ask(ctx, grace)
		if err == nil {
			break
		}
		s.Log.Warn("cannot ask guest to power down", "vm", r.id, "cause", err)
		select { // the link may come up again
		case <-linked:
		case <-r.machine.Done():
			return true
		case <-ctx.Done():
			return false
		}
	}
	select {
	case <-r.machine.Done():
		return true
	case <-ctx.Done():
		return false
	}
}

// askPatience bounds how long a guest may take to answer that it shuts down, before the
// power button is pressed.
const askPatience = 5 * time.Second

// ask asks the guest to shut down.
func (r *run) ask(ctx context.Context, grace time.Duration) error {
	asking, cancel := context.WithTimeout(ctx, min(askPatience, grace/2))
	defer cancel()
	overLink := r.askOverLink(asking)
	if overLink == nil {
		return nil
	}
	byButton := r.pressButton(ctx)
	if byButton == nil {
		return nil
	}
	return errors.Join(overLink, byButton)
}

// errDaemonStops is what a call gets that waits for a VM while the service closes.
var errDaemonStops = banger.Errorf(banger.CodeUnavailable, "daemon is shutting down; its successor will finish this")
