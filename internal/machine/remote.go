package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"banger"
	"banger/internal/vmm"
)

// remoteUpTimeout bounds how long the adding of a host waits for its link, after a login
// that has worked.
const remoteUpTimeout = 3 * time.Minute

// AddRemote implements banger.RemoteService. The record comes when the host has been
// logged in to: what is listed could be used once.
func (s *Service) AddRemote(ctx context.Context, r banger.RemoteRequest) (banger.VM, error) {
	if err := r.Validate(); err != nil {
		return banger.VM{}, err
	}
	if err := s.checkName(ctx, r.Name); err != nil {
		return banger.VM{}, err
	}
	driver, err := s.enroller()
	if err != nil {
		return banger.VM{}, err
	}
	m, err := driver.Probe(ctx, r)
	if err != nil {
		return banger.VM{}, fmt.Errorf("cannot add VM %s: %w", r.Name, err)
	}
	vm, run, err := s.storeRemote(context.WithoutCancel(ctx), banger.VM{
		ID: banger.NewVMID(), Name: r.Name, SSHTarget: r.SSH,
		Driver: driver.Name(), Capabilities: vmm.Capabilities(driver),
		State: banger.VMRunning, CreatedAt: now(), StartedAt: now(), Machine: m.Ref(),
	}, m)
	if err != nil {
		return banger.VM{}, err
	}
	banger.Step(ctx, "asking for the sessions there")
	waiting, cancel := context.WithTimeoutCause(ctx, remoteUpTimeout, fmt.Errorf("it has not answered within %s, and is tried on", remoteUpTimeout))
	defer cancel()
	if err := run.waitUp(waiting); err != nil {
		return vm, fmt.Errorf("cannot determine whether VM %s responds: %w", vm.Name, err)
	}
	return s.Store.GetVM(ctx, vm.ID)
}

// enroller returns the driver of hosts that are added.
func (s *Service) enroller() (vmm.Enroller, error) {
	all := s.Drivers.Enrollers()
	if len(all) == 0 {
		return nil, banger.Errorf(banger.CodeMissing, "cannot add VM: this daemon has no driver of remote hosts")
	}
	return all[0], nil
}

// storeRemote makes the record of a host and begins its run.
func (s *Service) storeRemote(ctx context.Context, vm banger.VM, m vmm.Machine) (banger.VM, *run, error) {
	unlock, err := s.locks.Lock(ctx, vm.ID)
	if err != nil {
		return vm, nil, err
	}
	defer unlock()
	if err := s.writeVMFile(vm); err != nil {
		return vm, nil, errors.Join(err, s.removeFiles(vm.ID))
	}
	if vm, err = s.Store.CreateVM(ctx, vm); err != nil {
		return vm, nil, errors.Join(err, s.removeFiles(vm.ID))
	}
	return vm, s.beginRun(vm, m, ""), nil
}

// UnlockRemote implements banger.RemoteService.
func (s *Service) UnlockRemote(ctx context.Context, ref string, a banger.RemoteAnswers) (banger.VM, error) {
	if err := a.Validate(); err != nil {
		return banger.VM{}, err
	}
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return vm, err
	}
	driver, err := s.Drivers.Enroller(vm, "unlock")
	if err != nil {
		return vm, err
	}
	r := s.run(vm.ID)
	if r == nil {
		return vm, banger.Errorf(banger.CodeState, "cannot unlock VM %s: it is being deleted", vm.Name)
	}
	if err := driver.Answer(ctx, r.machine, a); err != nil {
		return vm, fmt.Errorf("cannot unlock VM %s: %w", vm.Name, err)
	}
	s.Links.Retry(vm.ID)
	return s.Store.GetVM(ctx, vm.ID)
}

// forget lets go of a remote host. Nothing is done to it, and nothing said of its
// sessions, which continue.
func (s *Service) forget(ctx context.Context, vm banger.VM, force bool) error {
	if !force {
		sessions, err := s.Store.ListSessions(ctx, vm.ID)
		if err != nil {
			return err
		}
		for _, x := range sessions {
			if !x.Status.Ended() {
				return banger.Errorf(banger.CodeInUse, "cannot delete VM %s: session %q has not ended and would keep running unattended", vm.Name, x.Name).
					WithHint("end it, or forget the host with --force")
			}
		}
	}
	if r := s.run(vm.ID); r != nil {
		if m, ok := r.machine.(vmm.Standing); ok {
			m.Forget()
		}
		if err := r.waitReleased(ctx); err != nil {
			return err
		}
	}
	_, err := s.deleteStopped(ctx, vm.ID)
	return err
}
