package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"banger"
	"banger/internal/keylock"
	"banger/internal/vmm"
)

// remoteUpTimeout bounds how long the adding of a host waits for its link, after a login
// that has worked.
const remoteUpTimeout = 3 * time.Minute

// Remotes implements banger.RemoteService.
type Remotes struct {
	locks    *keylock.Locks[banger.VMID]
	store    Store
	sessions SessionRecords
	drivers  vmm.Drivers
	links    Links
	homes    *homes
	files    *vmFiles
	runs     *runs
	deleter  *deleter
}

// AddRemote implements banger.RemoteService. The record comes when the host has been
// logged in to: what is listed could be used once.
func (s *Remotes) AddRemote(ctx context.Context, r banger.RemoteRequest) (banger.VM, error) {
	if err := r.Validate(); err != nil {
		return banger.VM{}, err
	}
	if err := checkName(ctx, s.store, r.Name); err != nil {
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
	return s.store.GetVM(ctx, vm.ID)
}

// enroller returns the driver of hosts that are added.
func (s *Remotes) enroller() (vmm.Enroller, error) {
	all := s.drivers.Enrollers()
	if len(all) == 0 {
		return nil, banger.Errorf(banger.CodeMissing, "cannot add VM: this daemon has no driver of remote hosts")
	}
	return all[0], nil
}

// storeRemote makes the record of a host and begins its run.
func (s *Remotes) storeRemote(ctx context.Context, vm banger.VM, m vmm.Machine) (banger.VM, *run, error) {
	unlock, err := s.locks.Lock(ctx, vm.ID)
	if err != nil {
		return vm, nil, err
	}
	defer unlock()
	if err := s.files.write(vm); err != nil {
		return vm, nil, errors.Join(err, s.homes.remove(vm.ID))
	}
	if vm, err = s.store.CreateVM(ctx, vm); err != nil {
		return vm, nil, errors.Join(err, s.homes.remove(vm.ID))
	}
	return vm, s.runs.begin(vm, m, ""), nil
}

// UnlockRemote implements banger.RemoteService.
func (s *Remotes) UnlockRemote(ctx context.Context, ref string, a banger.RemoteAnswers) (banger.VM, error) {
	if err := a.Validate(); err != nil {
		return banger.VM{}, err
	}
	vm, err := resolve(ctx, s.store, ref)
	if err != nil {
		return vm, err
	}
	driver, err := s.drivers.Enroller(vm, "unlock")
	if err != nil {
		return vm, err
	}
	r := s.runs.of(vm.ID)
	if r == nil {
		return vm, banger.Errorf(banger.CodeState, "cannot unlock VM %s: it is being deleted", vm.Name)
	}
	if err := driver.Answer(ctx, r.machine, a); err != nil {
		return vm, fmt.Errorf("cannot unlock VM %s: %w", vm.Name, err)
	}
	s.links.Retry(vm.ID)
	return s.store.GetVM(ctx, vm.ID)
}

// forget lets go of a remote host. Nothing is done to it, and nothing said of its
// sessions, which continue.
func (s *Remotes) forget(ctx context.Context, vm banger.VM, force bool) error {
	if !force {
		sessions, err := s.sessions.ListSessions(ctx, vm.ID)
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
	if r := s.runs.of(vm.ID); r != nil {
		if m, ok := r.machine.(vmm.Standing); ok {
			m.Forget()
		}
		if err := r.waitReleased(ctx); err != nil {
			return err
		}
	}
	_, err := s.deleter.deleteStopped(ctx, vm.ID)
	return err
}
