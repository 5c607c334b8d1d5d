package machine

import (
	"context"
	"fmt"
	"time"

	"banger"
	"banger/internal/keylock"
)

// StopVM implements banger.VMService. Once begun it is carried out, whether the
// caller waits or not; a second call with a shorter grace time shortens the first.
func (s *VMs) StopVM(ctx context.Context, ref string, request banger.VMStopRequest) (banger.VM, error) {
	if err := request.Validate(); err != nil {
		return banger.VM{}, err
	}
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return banger.VM{}, err
	}
	grace := request.WithDefaults(vm).Grace
	if err := s.drivers.Require(vm, banger.CanPower, "stop"); err != nil {
		return vm, err
	}
	if r := s.runs.of(vm.ID); r != nil && grace > 0 {
		if err := r.pausing.checkStoppable(ctx); err != nil {
			return banger.VM{}, fmt.Errorf("cannot stop VM %s: %w", vm.Name, err)
		}
	}
	r, err := s.stopper.mark(ctx, vm.ID)
	if err != nil {
		return banger.VM{}, fmt.Errorf("cannot stop VM %s: %w", vm.Name, err)
	}
	if r != nil {
		if err := s.stopper.stopAndWait(ctx, r, grace); err != nil {
			return banger.VM{}, fmt.Errorf("cannot stop VM %s: %w", vm.Name, err)
		}
	}
	return s.store.GetVM(ctx, vm.ID)
}

// stopper stops VMs.
type stopper struct {
	locks   *keylock.Locks[banger.VMID]
	store   Store
	runs    *runs
	adopter *adopter
}

// mark records that a VM is being stopped and returns its run, nil if it
// has none.
func (s *stopper) mark(ctx context.Context, id banger.VMID) (*run, error) {
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := s.adopter.find(ctx, id)
	if err != nil {
		return nil, err
	}
	_, err = s.store.UpdateVM(ctx, id, func(vm *banger.VM) error {
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
func (s *stopper) stopAndWait(ctx context.Context, r *run, grace time.Duration) error {
	select {
	case err := <-s.runs.stop(r, grace):
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return r.waitReleased(ctx)
}

// errDaemonStops is what a call gets that waits for a VM while the service closes.
var errDaemonStops = banger.Errorf(banger.CodeUnavailable, "daemon is shutting down; its successor will finish this")
