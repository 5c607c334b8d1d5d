package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"banger"
	"banger/internal/keylock"
	"banger/internal/process"
	"banger/internal/vmm"
)

// StartVM implements banger.VMService. Once the machine runs, the start continues
// without ctx.
func (s *VMs) StartVM(ctx context.Context, ref string) (banger.VM, error) {
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return banger.VM{}, err
	}
	if err := s.drivers.Require(vm, banger.CanPower, "start"); err != nil {
		return vm, err
	}
	r, err := s.starter.start(ctx, vm.ID)
	if err != nil {
		return banger.VM{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bootPatience, errNoAnswer)
	defer cancel()
	if err := r.waitUp(ctx); err != nil {
		e := banger.Errorf(banger.CodeUnavailable, "cannot start VM %s: %w", vm.Name, err)
		if status, _ := r.pauses.now(); status.Pause != vmm.NotPaused {
			return banger.VM{}, e.WithHint("nothing in it is lost; see banger vm show %s", vm.Name)
		}
		return banger.VM{}, e.WithHint("see the output of its guest with: banger vm console-log %s", vm.Name)
	}
	return s.store.GetVM(ctx, vm.ID)
}

// bootPatience is how long a start waits for the guest's answer. An emulated
// guest on a busy host takes half a minute.
const bootPatience = 5 * time.Minute

var errNoAnswer = fmt.Errorf("its machine runs, but the guest has not answered for %s", bootPatience)

// starter starts machines.
type starter struct {
	locks   *keylock.Locks[banger.VMID]
	store   Store
	homes   *homes
	room    room
	runs    *runs
	adopter *adopter
	boots   *boots
}

// start returns the run of a VM, a new one if it has none. A machine that
// is being stopped is waited for.
func (s *starter) start(ctx context.Context, id banger.VMID) (*run, error) {
	for {
		r, ending, err := s.once(ctx, id)
		if err != nil || !ending {
			return r, err
		}
		if err := r.waitReleased(ctx); err != nil {
			return nil, err
		}
	}
}

// once is start, but returns a run that is about to end as such.
func (s *starter) once(ctx context.Context, id banger.VMID) (r *run, ending bool, err error) {
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if r, err = s.adopter.find(ctx, id); err != nil {
		return nil, false, err
	}
	if r != nil {
		vm, err := s.store.GetVM(ctx, id)
		return r, vm.State == banger.VMStopping || r.machineDone(), err
	}
	hostBoot, err := process.BootID()
	if err != nil {
		return nil, false, err
	}
	_, hostKey, err := s.homes.readHostKey(id)
	if err != nil {
		return nil, false, err
	}
	vm, err := s.store.GetVM(ctx, id)
	if err != nil {
		return nil, false, err
	}
	if err := s.room.check("start", vm.Name); err != nil {
		return nil, false, err
	}
	vm, err = s.store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.State, vm.StartedAt, vm.ReadyAt, vm.LastError, vm.StoppedBy = banger.VMStarting, now(), time.Time{}, "", ""
		vm.HostBootID = hostBoot
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	m, err := s.boots.boot(ctx, vm)
	if err != nil {
		return nil, false, errors.Join(err, s.recordFailedStart(ctx, id, err))
	}
	return s.runs.begin(vm, m, hostKey), false, nil
}

// recordFailedStart records a start that has left no machine. One that its user
// broke off is not a failure.
func (s *starter) recordFailedStart(ctx context.Context, id banger.VMID, cause error) error {
	_, err := s.store.UpdateVM(context.WithoutCancel(ctx), id, func(vm *banger.VM) error {
		vm.State, vm.LastError, vm.StoppedAt = banger.VMFailed, cause.Error(), now()
		if ctx.Err() != nil {
			vm.State, vm.LastError = banger.VMStopped, ""
		}
		return nil
	})
	return err
}
