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
	runs     *runs
	id       banger.VMID
	machine  vmm.Machine
	sessions guestapi.GuestHandler // of what its guest reports; a machine is in one epoch
	pauses   *pauses
	pausing  *pauseFollower
	presence *presence
	released chan struct{} // closed when nothing of the run is left

	asking sync.Mutex       // held while the guest is asked to shut down; guards asked
	asked  banger.StoppedBy // how the guest was last asked to shut down

	mu     sync.Mutex // guards killed
	killed bool       // the machine was killed while it ran
}

// loop holds the run until its machine ends or the service closes, and then
// releases it.
func (r *run) loop(serve func(context.Context) error) {
	s := r.runs
	defer close(r.released)
	var pauses sync.WaitGroup
	watching, cancel := context.WithCancel(s.tasks.ctx)
	pauses.Go(func() { r.pausing.follow(watching) })
	err := serve(s.tasks.ctx)
	if s.tasks.ctx.Err() == nil && !r.machineDone() {
		s.log.Error("link has ended though its machine runs", "vm", r.id, "cause", err)
	}
	select {
	case <-r.machine.Done():
	case <-s.tasks.ctx.Done(): // the machine continues
	}
	cancel()
	pauses.Wait()
	if r.machineDone() {
		r.ended(now())
	}
	if err := r.machine.Close(); err != nil {
		s.log.Warn("cannot let go of machine", "vm", r.id, "cause", err)
	}
	s.forget(r.id)
}

// recordRetry is between two attempts to record an end, for example while the
// host's disk is full.
const recordRetry = time.Second

// ended records the end of the machine at a time, which must not be missed because the
// service closes at the same time. Until it is recorded the VM has its run: it is
// neither started again nor deleted.
func (r *run) ended(at time.Time) {
	s := r.runs
	for {
		err := r.recordEnd(context.WithoutCancel(s.tasks.ctx), at)
		if err == nil {
			return
		}
		s.log.Error("cannot record the end of a machine", "vm", r.id, "cause", err)
		select {
		case <-time.After(recordRetry):
		case <-s.tasks.ctx.Done():
			return // the next daemon records it
		}
	}
}

// recordEnd records the sessions' end before that of the VM, so that a crash in
// between leaves what the next daemon records again.
func (r *run) recordEnd(ctx context.Context, at time.Time) error {
	s := r.runs
	vm, err := s.store.GetVM(ctx, r.id)
	if err != nil {
		return err
	}
	if _, standing := r.machine.(vmm.Standing); standing { // it was forgotten
		_, err := s.store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
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
	if err := s.reporter.endSessions(ctx, r.id, cause, at, diskTimeout); err != nil {
		return err
	}
	by := r.stoppedBy()
	_, err = s.store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
		forgetMachine(vm)
		if stopped || vm.State == banger.VMStopping {
			vm.State, vm.LastError, vm.StoppedBy = banger.VMStopped, "", by
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
	r.asking.Lock()
	asked := r.asked
	r.asking.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.killed || !r.poweredOff():
		return banger.StoppedByKilled
	case asked == "":
		return banger.StoppedByGuest
	}
	return asked
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

// asks asks the guest to shut down in one of the ways, and keeps which if that has
// succeeded. The end of a machine that shuts down at once waits for it, so that it is not
// taken for the guest's own.
func (r *run) asks(by banger.StoppedBy, ask func() error) error {
	r.asking.Lock()
	defer r.asking.Unlock()
	err := ask()
	if err == nil {
		r.asked = by
	}
	return err
}

// GuestUp implements guestapi.GuestHandler: sessions are reconciled before the VM
// counts as running.
func (r *run) GuestUp(ctx context.Context, hello guestapi.GuestHello, g guestapi.Guest) error {
	if err := r.runs.reporter.takeInFromGuest(ctx, r.id, g); err != nil {
		return err
	}
	err := r.sessions.GuestUp(ctx, hello, g)
	if err != nil {
		return err
	}
	_, standing := r.machine.(vmm.Standing)
	_, err = r.runs.store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
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
		r.presence.set(g)
		r.presence.noteUp()
	}
	return err
}

// GuestChanged implements guestapi.GuestHandler.
func (r *run) GuestChanged(ctx context.Context, s guestapi.GuestSession) error {
	return r.sessions.GuestChanged(ctx, s)
}

// GuestDown implements guestapi.GuestHandler. Of a standing machine the record says since
// when it cannot be reached, and why: all else about it stays as it was known.
func (r *run) GuestDown(ctx context.Context, cause error) error {
	r.presence.set(nil)
	if _, standing := r.machine.(vmm.Standing); !standing {
		return nil
	}
	_, err := r.runs.store.UpdateVM(ctx, r.id, func(vm *banger.VM) error {
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
			return errors.New("it is paused: " + r.pausing.explain(status))
		}
		select {
		case <-r.presence.up:
			return nil
		case <-changed:
			continue
		case <-r.released:
			if r.runs.tasks.ctx.Err() != nil {
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
