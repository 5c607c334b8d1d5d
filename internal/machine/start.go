package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"banger"
	"banger/internal/process"
	"banger/internal/vmm"
)

// StartVM implements banger.VMService. Once the machine runs, the start continues
// without ctx.
func (s *Service) StartVM(ctx context.Context, ref string) (banger.VM, error) {
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return banger.VM{}, err
	}
	if err := s.Drivers.Require(vm, banger.CanPower, "start"); err != nil {
		return vm, err
	}
	r, err := s.startMachine(ctx, vm.ID)
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
	return s.Store.GetVM(ctx, vm.ID)
}

// bootPatience is how long a start waits for the guest's answer. An emulated
// guest on a busy host takes half a minute.
const bootPatience = 5 * time.Minute

var errNoAnswer = fmt.Errorf("its machine runs, but the guest has not answered for %s", bootPatience)

// startMachine returns the run of a VM, a new one if it has none. A machine that
// is being stopped is waited for.
func (s *Service) startMachine(ctx context.Context, id banger.VMID) (*run, error) {
	for {
		r, ending, err := s.startOnce(ctx, id)
		if err != nil || !ending {
			return r, err
		}
		if err := r.waitReleased(ctx); err != nil {
			return nil, err
		}
	}
}

// startOnce is startMachine, but returns a run that is about to end as such.
func (s *Service) startOnce(ctx context.Context, id banger.VMID) (r *run, ending bool, err error) {
	unlock, err := s.locks.Lock(ctx, id)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if r, err = s.findRun(ctx, id); err != nil {
		return nil, false, err
	}
	if r != nil {
		vm, err := s.Store.GetVM(ctx, id)
		return r, vm.State == banger.VMStopping || r.machineDone(), err
	}
	hostBoot, err := process.BootID()
	if err != nil {
		return nil, false, err
	}
	_, hostKey, err := s.readHostKey(id)
	if err != nil {
		return nil, false, err
	}
	vm, err := s.Store.GetVM(ctx, id)
	if err != nil {
		return nil, false, err
	}
	if err := s.checkRoom("start", vm.Name); err != nil {
		return nil, false, err
	}
	vm, err = s.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.State, vm.StartedAt, vm.ReadyAt, vm.LastError, vm.StoppedBy = banger.VMStarting, now(), time.Time{}, "", ""
		vm.HostBootID = hostBoot
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	m, err := s.boot(ctx, vm)
	if err != nil {
		return nil, false, errors.Join(err, s.recordFailedStart(ctx, id, err))
	}
	return s.beginRun(vm, m, hostKey), false, nil
}

// boot has the driver start a machine and stores how to adopt it.
func (s *Service) boot(ctx context.Context, vm banger.VM) (vmm.Machine, error) {
	driver, err := s.Drivers.Starter(vm, "start")
	if err != nil {
		return nil, err
	}
	spec, err := s.prepareBoot(ctx, vm, driver)
	if err != nil {
		return nil, err
	}
	m, err := driver.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	// From here on nothing may be forgotten because the client goes away.
	ctx = context.WithoutCancel(ctx)
	if err := s.storeMachine(ctx, vm.ID, m); err != nil {
		killed := kill(ctx, m)
		if killed != nil { // until its end is seen it is kept in hand: it writes to the disks
			s.Log.Error("cannot record a machine or kill it; it keeps running", "vm", vm.ID, "cause", errors.Join(err, killed))
			return m, nil
		}
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// storeMachine records a running machine, so that the next daemon can adopt it.
// A VM that had failed counts as starting until its guest answers.
func (s *Service) storeMachine(ctx context.Context, id banger.VMID, m vmm.Machine) error {
	info := m.Info()
	_, err := s.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.Machine, vm.Accelerator, vm.SSHAddress, vm.EndsWith = m.Ref(), info.Accelerator, info.SSHAddress, info.EndsWith
		if vm.State == banger.VMFailed || vm.State == banger.VMStopped {
			vm.State, vm.LastError = banger.VMStarting, ""
		}
		return nil
	})
	return err
}

// recordFailedStart records a start that has left no machine. One that its user
// broke off is not a failure.
func (s *Service) recordFailedStart(ctx context.Context, id banger.VMID, cause error) error {
	_, err := s.Store.UpdateVM(context.WithoutCancel(ctx), id, func(vm *banger.VM) error {
		vm.State, vm.LastError, vm.StoppedAt = banger.VMFailed, cause.Error(), now()
		if ctx.Err() != nil {
			vm.State, vm.LastError = banger.VMStopped, ""
		}
		return nil
	})
	return err
}
