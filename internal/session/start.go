package session

import (
	"context"
	"errors"

	"banger"
	"banger/internal/records"
)

// StartSession implements banger.SessionService. Once the record is stored the
// launch continues without ctx: a client that goes away finds the session later.
func (s *Sessions) StartSession(ctx context.Context, vmRef string, r banger.SessionRequest) (banger.Session, error) {
	if r.StdinMode == "" {
		r.StdinMode = banger.StdinClosed
		if r.TTY {
			r.StdinMode = banger.StdinPipe
		}
	}
	vm, err := s.finder.vm(ctx, vmRef)
	if err != nil {
		return banger.Session{}, err
	}
	chosen := r.StopSignal
	r = withImage(r, vm.ImageConfig)
	if r.Args == nil {
		r.Args = []banger.ByteString{} // it is told as a list
	}
	if err := r.Validate(); err != nil {
		if e, ok := errors.AsType[*banger.Error](err); ok && r.Command == "" {
			err = e.WithHint("give the command after --; the image of VM %s has none that could run instead", vm.Name)
		}
		return banger.Session{}, err
	}
	if r.StopSignal, err = stopSignal(r.StopSignal); err != nil {
		if e, ok := errors.AsType[*banger.Error](err); ok && chosen == "" {
			err = e.WithHint("it is that of the image; give another: banger session start %s --stop-signal SIGTERM", vm.Name)
		}
		return banger.Session{}, err
	}
	if vm.SessionsUnknown {
		// What is asked for may be one of them.
		if err := s.reach.awaitKnown(ctx, vm, "start session"); err != nil {
			return banger.Session{}, err
		}
	}
	if vm.State != banger.VMRunning {
		if first, err := s.finder.store.FindSession(ctx, vm.ID, r.IdempotencyKey); err == nil {
			return first, nil // what was asked for has been done
		}
		if err := records.CheckNotPaused(vm, "start", "session"); err != nil {
			return banger.Session{}, err
		}
		return banger.Session{}, banger.Errorf(banger.CodeState, "cannot start session: VM %s is %s", vm.Name, vm.State).
			WithHint("start it with: banger vm start %s", vm.Name)
	}
	stored, err := s.launcher.launch(ctx, newSession(vm.ID, r), r.IdempotencyKey, r.SecretEnv)
	if err != nil || r.NoWait {
		return stored, err
	}
	return s.launcher.awaitStart(ctx, stored)
}
