package inmem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"banger/internal/vmm"
)

// machine is a handle of an instance; it implements vmm.Dialer, vmm.Powered and vmm.PausingMachine.
type machine struct {
	*instance
	closed    chan struct{}
	closeOnce sync.Once
}

func newMachine(i *instance) *machine { return &machine{instance: i, closed: make(chan struct{})} }

// Ref implements vmm.Machine.
func (m *machine) Ref() json.RawMessage { return m.ref() }

// Info implements vmm.Machine.
func (m *machine) Info() vmm.MachineInfo {
	return vmm.MachineInfo{SSHAddress: m.listener.Addr().String()}
}

// Done implements vmm.Machine.
func (m *machine) Done() <-chan struct{} { return m.done }

// PoweredOff implements vmm.Powered.
func (m *machine) PoweredOff() bool { return m.hasEnded() && m.off }

// WaitReady implements vmm.Machine.
func (m *machine) WaitReady(ctx context.Context) error {
	if m.hasEnded() {
		return vmm.ErrMachineGone
	}
	select {
	case <-m.ready:
		return nil
	case <-m.done:
		return vmm.ErrMachineGone
	case <-m.closed:
		return fmt.Errorf("cannot wait for guest: the handle of its machine is closed: %w", os.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("cannot wait for guest: %w", context.Cause(ctx))
	}
}

// Dial implements vmm.Dialer.
func (m *machine) Dial(ctx context.Context) (net.Conn, error) {
	if m.hasEnded() {
		return nil, vmm.ErrMachineGone
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", m.Info().SSHAddress)
	if m.hasEnded() {
		if err == nil {
			conn.Close()
		}
		return nil, vmm.ErrMachineGone
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot dial guest: %w", err), context.Cause(ctx))
	}
	return conn, nil
}

// PowerDown implements vmm.Powered.
func (m *machine) PowerDown(ctx context.Context) error {
	if m.hasEnded() {
		return vmm.ErrMachineGone
	}
	if ctx.Err() != nil {
		return fmt.Errorf("cannot power down machine: %w", context.Cause(ctx))
	}
	select {
	case m.button <- struct{}{}:
	default: // it is pressed already
	}
	return nil
}

// Kill implements vmm.Powered.
func (m *machine) Kill(ctx context.Context) error {
	m.stop()
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot kill machine: %w", context.Cause(ctx))
	}
}

// FollowPauses implements vmm.PausingMachine.
func (m *machine) FollowPauses(ctx context.Context, f func(vmm.PauseStatus)) error {
	for {
		status, changed := m.pauseNow()
		f(status)
		select {
		case <-changed:
		case <-m.done:
			return nil
		case <-m.closed:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// Continue implements vmm.PausingMachine.
func (m *machine) Continue(_ context.Context, why vmm.Pause) error {
	if m.hasEnded() {
		return vmm.ErrMachineGone
	}
	status, _ := m.pauseNow()
	if status.Pause != why || why == vmm.NotPaused {
		return nil
	}
	m.setPause(vmm.PauseStatus{})
	if m.guest.Continue != nil && !m.guest.Continue(m.spec) {
		m.setPause(status)
	}
	return nil
}

// Close implements vmm.Machine.
func (m *machine) Close() error {
	m.closeOnce.Do(func() { close(m.closed) })
	return nil
}
