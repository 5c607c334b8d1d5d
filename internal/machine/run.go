package machine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/vmm"
)

// run is one running machine in the hands of this process: it keeps the guest's
// link up and records how the machine ends. It is released when the machine has
// ended or the service closes.
type run struct {
	service *Service
	id      banger.VMID
	machine vmm.Machine
	pauses  *pauses

	up       chan struct{} // closed when the guest has answered for the first time
	released chan struct{} // closed when nothing of the run is left
	upOnce   sync.Once

	mu     sync.Mutex       // guards the fields below
	guest  guestapi.Guest   // while the link is up
	linked chan struct{}    // closed when the link comes up the next time
	asked  banger.StoppedBy // how the guest was last asked to shut down
	killed bool             // the machine was killed while it ran
}

// beginRun takes over a machine. The caller holds the VM's lock.
func (s *Service) beginRun(vm banger.VM, m vmm.Machine, hostKey string) *run {
	r := &run{service: s, id: vm.ID, machine: m, pauses: newPauses(), up: make(chan struct{}), released: make(chan struct{}), linked: make(chan struct{})}
	if !vm.ReadyAt.IsZero() && (vm.State == banger.VMRunning || vm.State == banger.VMPaused || vm.State == banger.VMStopping) {
		r.noteUp() // an earlier daemon had its answer
	}
	seen := m
	_, pauses := m.(vmm.PausingMachine)
	if dialer, ok := m.(vmm.Dialer); ok && pauses {
		seen = awake{dialer, r.pauses}
	}
	serve, err := s.Links.Open(vmm.GuestAccess{VMID: vm.ID, Machine: seen, User: loginUser, HostKey: hostKey}, r)
	if err != nil {
		s.Log.Error("cannot open link to guest", "vm", vm.ID, "cause", err)
		serve = func(context.Context) error { return err }
	}
	s.mu.Lock()
	s.runs[vm.ID] = r
	s.mu.Unlock()
	go r.loop(serve)
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

// loop holds the run until its machine ends or the service closes, and then
// releases it.
func (r *run) loop(serve func(context.Context) error) {
	s := r.service
	defer close(r.released)
	var pauses sync.WaitGroup
	watching, cancel := context.WithCancel(s.ctx)
	pauses.Go(func() { r.followPauses(watching) })
	err := serve(s.ctx)
	if s.ctx.Err() == nil && !r.machineDone() {
		s.Log.Error("link has ended though its machine runs", "vm", r.id, "cause", err)
	}
	select {
	case <-r.machine.Done():
	case <-s.ctx.Done(): // the machine continues
	}
	cancel()
	pauses.Wait()
	if r.machineDone() {
		r.ended(now())
	}
	if err := r.machine.Close(); err != nil {
		s.Log.Warn("cannot let go of machine", "vm", r.id, "cause", err)
	}
	s.mu.Lock()
	delete(s.runs, r.id)
	s.mu.Unlock()
}

// recordRetry is between two attempts to record an end, for example while the
// host's disk is full.
const recordRetry = time.Second

// ended records the end of the machine at a time, which must not be missed because the
// service closes at the same time. Until it is recorded the VM has its run: it is
// neither started again nor deleted.
func (r *run) ended(at time.Time) {
	s := r.service
	for {
		err := r.recordEnd(context.WithoutCancel(s.ctx), at)
		if err == nil {
			return
		}
		s.Log.Error("cannot record the end of a machine", "vm", r.id, "cause", err)
		select {
		case <-time.After(recordRetry):
		case <-s.ctx.Done():
			return // the next daemon records it
		}
	}
}

// recordEnd records the sessions' end before that of the VM, so that a crash in
// between leaves what the next daemon records again.
func (r *run) recordEnd(ctx context.Context, at time.Time) error {
	s := r.service
	vm, err := s.Store.GetVM(ctx, r.id)
	if err != nil {
		return err
	}
	if _, standing := r.machine.(vmm.Standing); standing { // it was forgotten
		_, err := s.Store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
			forgetMachine(vm)
			return nil
		})
		return err
	}
	stopped := vm.State == banger.VMStopping || r.poweredOff()
	cause := banger.EndedByVMLost
	if stopped {
		cause = banger.EndedByVMStopped
	}
	if err := s.endSessions(ctx, r.id, cause, at, diskTimeout); err != nil {
		return err
	}
	_, err = s.Store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
		forgetMachine(vm)
		if stopped || vm.State == banger.VMStopping {
			vm.State, vm.LastError, vm.StoppedBy = banger.VMStopped, "", r.stoppedBy()
			return nil
		}
		vm.State = banger.VMFailed
		vm.LastError = "the machine ended without having been asked to; console-log may tell why"
		return nil
	})
	return err
}

// stoppedBy says how the machine, which has ended, was stopped. One whose guest did not
// say that it powers off was killed, whoever did that.
func (r *run) stoppedBy() banger.StoppedBy {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.killed || !r.poweredOff():
		return banger.StoppedByKilled
	case r.asked == "":
		return banger.StoppedByGuest
	}
	return r.asked
}

// kill ends the machine at once.
func (r *run) kill(ctx context.Context) error {
	r.mu.Lock()
	r.killed = r.killed || !r.machineDone()
	r.mu.Unlock()
	return kill(ctx, r.machine)
}

// kill ends a machine at once.
func kill(ctx context.Context, m vmm.Machine) error {
	powered, ok := m.(vmm.Powered)
	if !ok {
		return errNoPower
	}
	return powered.Kill(ctx)
}

// poweredOff reports whether the guest of a machine that has ended had said that it
// powers off.
func (r *run) poweredOff() bool {
	m, ok := r.machine.(vmm.Powered)
	return ok && m.PoweredOff()
}

// askOverLink asks the guest to shut down, if its link is up.
func (r *run) askOverLink(ctx context.Context) error {
	r.mu.Lock()
	power, ok := r.guest.(guestapi.GuestPower)
	r.mu.Unlock()
	if !ok {
		return errNoLink
	}
	err := power.PowerOff(ctx)
	if err == nil {
		r.setAsked(banger.StoppedByGuest)
	}
	return err
}

// pressButton asks the guest to shut down by the power button.
func (r *run) pressButton(ctx context.Context) error {
	m, ok := r.machine.(vmm.Powered)
	if !ok {
		return errNoPower
	}
	err := m.PowerDown(ctx)
	if err == nil {
		r.setAsked(banger.StoppedByACPI)
	}
	return err
}

func (r *run) setAsked(by banger.StoppedBy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = by
}

func (r *run) setGuest(g guestapi.Guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.guest = g
	if g != nil {
		close(r.linked)
		r.linked = make(chan struct{})
	}
}

// nextLink returns a channel that is closed when the link comes up again.
func (r *run) nextLink() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.linked
}

// GuestUp implements guestapi.GuestHandler: sessions are reconciled before the VM
// counts as running.
func (r *run) GuestUp(ctx context.Context, hello guestapi.GuestHello, g guestapi.Guest) error {
	if err := r.service.takeInFromGuest(ctx, r.id, g); err != nil {
		return err
	}
	err := r.service.Sessions.Guest(r.id).GuestUp(ctx, hello, g)
	if err != nil {
		return err
	}
	_, standing := r.machine.(vmm.Standing)
	_, err = r.service.Store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
		if vm.State == banger.VMStarting || vm.State == banger.VMPaused { // one that answers is not paused
			vm.State, vm.ReadyAt, vm.LastError = banger.VMRunning, now(), ""
		}
		if standing {
			vm.UnreachableSince, vm.LoginRefused, vm.LastError, vm.ReadyAt = time.Time{}, false, "", now()
		}
		vm.BootID = hello.BootID
		return nil
	})
	if err == nil {
		r.setGuest(g)
		r.noteUp()
	}
	return err
}

func (r *run) noteUp() { r.upOnce.Do(func() { close(r.up) }) }

// GuestChanged implements guestapi.GuestHandler.
func (r *run) GuestChanged(ctx context.Context, s guestapi.GuestSession) error {
	return r.service.Sessions.Guest(r.id).GuestChanged(ctx, s)
}

// GuestDown implements guestapi.GuestHandler. Of a standing machine the record says since
// when it cannot be reached, and why: all else about it stays as it was known.
func (r *run) GuestDown(ctx context.Context, cause error) error {
	r.setGuest(nil)
	if _, standing := r.machine.(vmm.Standing); !standing {
		return nil
	}
	_, err := r.service.Store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
		if vm.UnreachableSince.IsZero() {
			vm.UnreachableSince = now()
		}
		vm.LoginRefused = errors.Is(cause, vmm.ErrLoginRefused)
		if text := cause.Error(); withoutNumbers(text) != withoutNumbers(vm.LastError) {
			vm.LastError = text // else every attempt would be an event
		}
		return nil
	})
	return err
}

// withoutNumbers is what two errors have in common that differ in a port.
func withoutNumbers(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, text)
}

// waitUp returns when the guest has answered, the machine has ended or is paused, or ctx
// has ended.
func (r *run) waitUp(ctx context.Context) error {
	for {
		status, changed := r.pauses.now()
		if status.Pause != vmm.NotPaused {
			return errors.New("it is paused: " + r.service.explainPause(status))
		}
		select {
		case <-r.up:
			return nil
		case <-changed:
			continue
		case <-r.released:
			if r.service.ctx.Err() != nil {
				return errDaemonStops
			}
			return errMachineEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
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

var (
	errMachineEnded = errors.New("the machine ended before its guest answered")
	errNoLink       = errors.New("its link is down")
	errNoPower      = errors.New("its machine has no power switch")
)
