package machine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/vmm"
)

// shutdown is one attempt to end a machine.
type shutdown struct {
	of    *run
	grace time.Duration // 0: it is killed at once
	store Store
	tasks *tasks
	log   *slog.Logger
}

// run ends a machine. If the service closes meanwhile, the machine stays
// as it is, and the next daemon continues.
func (s *shutdown) run() error {
	if s.grace > 0 {
		if s.powerDown() {
			return nil
		}
		if s.tasks.ctx.Err() != nil {
			return errDaemonStops
		}
		if status, _ := s.of.pauses.now(); status.Pause != vmm.NotPaused {
			return s.giveUp(status)
		}
		s.log.Warn("guest did not power down in time", "vm", s.of.id, "grace", s.grace)
	}
	err := s.of.kill(s.tasks.ctx)
	if s.tasks.ctx.Err() != nil {
		return errDaemonStops
	}
	if err != nil {
		s.log.Error("cannot kill machine", "vm", s.of.id, "cause", err)
	}
	return err
}

// giveUp leaves a machine that was paused while its guest was shutting down: it would
// lose what the guest was about to write.
func (s *shutdown) giveUp(status vmm.PauseStatus) error {
	_, err := s.store.UpdateVM(context.WithoutCancel(s.tasks.ctx), s.of.id, func(vm *banger.VM) error {
		if vm.State == banger.VMStopping {
			vm.State, vm.LastError = banger.VMPaused, s.of.pausing.explain(status)
		}
		return nil
	})
	return errors.Join(s.of.pausing.unstoppable(status), err)
}

// powerDown asks the guest to shut down, over its link or where that is down by the power
// button, and reports whether it did so in time.
func (s *shutdown) powerDown() bool {
	ctx, cancel := context.WithTimeout(s.tasks.ctx, s.grace)
	defer cancel()
	// A guest that still boots would miss the button.
	select {
	case <-s.of.presence.up:
	case <-s.of.machine.Done():
		return true
	case <-ctx.Done():
		return false
	}
	for {
		linked := s.of.presence.nextLink()
		err := s.ask(ctx)
		if err == nil {
			break
		}
		s.log.Warn("cannot ask guest to power down", "vm", s.of.id, "cause", err)
		select { // the link may come up again
		case <-linked:
		case <-s.of.machine.Done():
			return true
		case <-ctx.Done():
			return false
		}
	}
	select {
	case <-s.of.machine.Done():
		return true
	case <-ctx.Done():
		return false
	}
}

// askPatience bounds how long a guest may take to answer that it shuts down, before the
// power button is pressed.
const askPatience = 5 * time.Second

// ask asks the guest to shut down.
func (s *shutdown) ask(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, min(askPatience, s.grace/2))
	defer cancel()
	overLink := s.askOverLink(asking)
	if overLink == nil {
		return nil
	}
	byButton := s.pressButton(ctx)
	if byButton == nil {
		return nil
	}
	return errors.Join(overLink, byButton)
}

// askOverLink asks the guest to shut down, if its link is up.
func (s *shutdown) askOverLink(ctx context.Context) error {
	power, ok := s.of.presence.now().(guestapi.GuestPower)
	if !ok {
		return errNoLink
	}
	return s.of.asks(banger.StoppedByGuest, func() error { return power.PowerOff(ctx) })
}

// pressButton asks the guest to shut down by the power button.
func (s *shutdown) pressButton(ctx context.Context) error {
	m, ok := s.of.machine.(vmm.Powered)
	if !ok {
		return errNoPower
	}
	return s.of.asks(banger.StoppedByACPI, func() error { return m.PowerDown(ctx) })
}
