package machine

import (
	"context"
	"errors"
	"sync"

	"banger"
)

// run is one running machine in the hands of this process: it keeps the guest's
// link up and records how the machine ends. It is released when the machine has
// ended or the service closes.
type run struct {
	service *Service
	id      banger.VMID
	machine banger.Machine
	hostKey string

	up       chan struct{} // closed when the guest has answered for the first time
	released chan struct{} // closed when nothing of the run is left
	upOnce   sync.Once
}

// beginRun takes over a machine. The caller holds the VM's lock.
func (s *Service) beginRun(id banger.VMID, m banger.Machine, hostKey string) *run {
	r := &run{service: s, id: id, machine: m, hostKey: hostKey, up: make(chan struct{}), released: make(chan struct{})}
	s.mu.Lock()
	s.runs[id] = r
	s.mu.Unlock()
	go r.loop()
	return r
}

// run returns the run of a VM, nil if it has none.
func (s *Service) run(id banger.VMID) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[id]
}

func (s *Service) allRuns() []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*run
	for _, r := range s.runs {
		all = append(all, r)
	}
	return all
}

func (r *run) loop() {
	s := r.service
	defer close(r.released)
	err := s.Links.Serve(s.ctx, banger.GuestAccess{VMID: r.id, Machine: r.machine, User: loginUser, HostKey: r.hostKey}, r)
	if s.ctx.Err() == nil {
		select {
		case <-r.machine.Done(): // the usual reason
		default:
			s.Log.Error("link has ended though its machine runs", "vm", r.id, "cause", err)
			select {
			case <-r.machine.Done():
			case <-s.ctx.Done():
			}
		}
	}
	select {
	case <-r.machine.Done():
		r.ended()
	default: // the service closes, the machine goes on
	}
	if err := r.machine.Close(); err != nil {
		s.Log.Warn("cannot let go of machine", "vm", r.id, "cause", err)
	}
	s.mu.Lock()
	delete(s.runs, r.id)
	s.mu.Unlock()
}

// ended records the end of the machine, which must not be missed because the
// service closes at the same time.
func (r *run) ended() {
	ctx := context.WithoutCancel(r.service.ctx)
	cause := banger.EndedByVMLost
	if r.machine.PoweredOff() {
		cause = banger.EndedByVMStopped
	}
	_, err := r.service.Store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
		vm.Machine, vm.SSHAddress, vm.BootID, vm.Accelerator, vm.StoppedAt = nil, "", "", "", now()
		if vm.State == banger.VMStopping || cause == banger.EndedByVMStopped {
			cause = banger.EndedByVMStopped
			vm.State = banger.VMStopped
			return nil
		}
		vm.State = banger.VMFailed
		vm.LastError = "the machine ended without having been asked to; console-log may tell why"
		return nil
	})
	if err == nil {
		err = r.service.Sessions.MachineEnded(ctx, r.id, cause)
	}
	if err != nil {
		r.service.Log.Error("cannot record the end of a machine", "vm", r.id, "cause", err)
	}
}

// GuestUp implements banger.GuestHandler: sessions are reconciled before the VM
// counts as running.
func (r *run) GuestUp(ctx context.Context, hello banger.GuestHello, g banger.Guest, sessions []banger.GuestSession) error {
	err := r.service.Sessions.Guest(r.id).GuestUp(ctx, hello, g, sessions)
	if err != nil {
		return err
	}
	_, err = r.service.Store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
		if vm.State == banger.VMStarting {
			vm.State, vm.ReadyAt, vm.LastError = banger.VMRunning, now(), ""
		}
		vm.BootID = hello.BootID
		return nil
	})
	if err == nil {
		r.upOnce.Do(func() { close(r.up) })
	}
	return err
}

// GuestChanged implements banger.GuestHandler.
func (r *run) GuestChanged(ctx context.Context, s banger.GuestSession) error {
	return r.service.Sessions.Guest(r.id).GuestChanged(ctx, s)
}

// waitUp returns when the guest has answered, the machine has ended, or ctx has.
func (r *run) waitUp(ctx context.Context) error {
	select {
	case <-r.up:
		return nil
	case <-r.released:
		if err := r.service.ctx.Err(); err != nil {
			return banger.Errorf(banger.CodeUnavailable, "cannot wait for VM %s: the daemon is stopping; the VM goes on", r.id)
		}
		return errMachineEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *run) machineDone() bool {
	select {
	case <-r.machine.Done():
		return true
	default:
		return false
	}
}

// waitReleased returns when nothing of the run is left, or with ctx.
func (r *run) waitReleased(ctx context.Context) error {
	select {
	case <-r.released:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errMachineEnded = errors.New("the machine ended before its guest answered")
