//go:build !unit

package machine_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
	"banger/internal/machine/inmem"
	"banger/internal/vmm"
)

// stubborn is a host whose guests power off only when asked by a test.
func stubborn(t *testing.T, complies *atomic.Bool, pressed chan<- struct{}) *hosttest.Host {
	t.Helper()
	return hosttest.NewWith(t, bin, hosttest.Options{Guest: func(g *inmem.Guest) {
		g.PowerButton = func(vmm.MachineSpec) bool {
			select {
			case pressed <- struct{}{}:
			default:
			}
			return complies.Load()
		}
	}})
}

func TestStop_DoesNotHoldUpTheEndOfTheDaemonAndIsFinishedByTheNext(t *testing.T) {
	var complies atomic.Bool
	pressed := make(chan struct{}, 1)
	h := stubborn(t, &complies, pressed)
	h.StartVM("v")
	stopped := make(chan error, 1)
	go func(vms banger.VMService) {
		_, err := vms.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Hour})
		stopped <- err
	}(h.VMs)
	<-pressed
	complies.Store(true)
	h.Restart()
	if err := <-stopped; banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("the call ended with %v", err)
	}
	if vm := waitState(t, h, "v", banger.VMStopped); vm.Machine != nil {
		t.Errorf("%+v", vm)
	}
}

func TestStop_IsCarriedOutThoughItsClientGoes(t *testing.T) {
	var complies atomic.Bool
	pressed := make(chan struct{}, 1)
	h := stubborn(t, &complies, pressed)
	h.StartVM("v")
	ctx, leave := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		_, err := h.VMs.StopVM(ctx, "v", banger.VMStopRequest{Grace: time.Hour})
		stopped <- err
	}()
	<-pressed
	leave()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if vm := get(t, h, "v"); vm.State != banger.VMStopping {
		t.Errorf("%+v", vm)
	}
	// Another shortens the grace time.
	if vm, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Kill: true}); err != nil || vm.State != banger.VMStopped {
		t.Errorf("%+v, %v", vm, err)
	}
}

func TestDelete_WithForceEndsAVMThatIsBeingStarted(t *testing.T) {
	booting := make(chan struct{}, 1)
	h := hosttest.NewWith(t, bin, hosttest.Options{Guest: func(g *inmem.Guest) {
		g.Boot = func(ctx context.Context, _ vmm.MachineSpec) error {
			booting <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
	}})
	if _, err := h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() {
		_, err := h.VMs.StartVM(t.Context(), "v")
		started <- err
	}()
	<-booting
	if err := h.VMs.DeleteVM(t.Context(), "v", false); banger.CodeOf(err) != banger.CodeState {
		t.Errorf("without force: %v", err)
	}
	if err := h.VMs.DeleteVM(t.Context(), "v", true); err != nil {
		t.Error(err)
	}
	if err := <-started; banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("the start ended with %v", err)
	}
	if vms, err := h.VMs.ListVMs(t.Context()); err != nil || len(vms) != 0 {
		t.Errorf("%v, %v", vms, err)
	}
}

func TestStart_ThatItsUserBreaksOffIsNoFailure(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	h := hosttest.NewWith(t, bin, hosttest.Options{Driver: func(d *inmem.Driver) vmm.Driver {
		return awkward{Driver: d, cannotAdopt: new(atomic.Bool), beforeStart: leave}
	}})
	if _, err := h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.VMs.StartVM(ctx, "v"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if vm := get(t, h, "v"); vm.State != banger.VMStopped || vm.LastError != "" {
		t.Errorf("%+v", vm)
	}
	if _, err := h.VMs.StartVM(t.Context(), "v"); err != nil {
		t.Errorf("a second start: %v", err)
	}
}

func TestVM_CallsAtTheSameTimeLeaveASoundRecord(t *testing.T) {
	h := hosttest.New(t, bin)
	h.StartVM("v")
	done := make(chan struct{})
	calls := []func() error{
		func() error { _, err := h.VMs.StartVM(t.Context(), "v"); return err },
		func() error { _, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Kill: true}); return err },
		func() error {
			_, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Minute})
			return err
		},
		func() error { h.Driver.Crash(get(t, h, "v").ID); return nil },
		func() error { h.Cut(); return nil },
	}
	for _, call := range calls {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 5 {
				// A start may be overtaken by an end; nothing else may fail.
				if err := call(); err != nil && banger.CodeOf(err) != banger.CodeUnavailable {
					t.Error(err)
				}
			}
		}()
	}
	for range calls {
		<-done
	}
	if vm, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Kill: true}); err != nil || vm.State != banger.VMStopped || vm.Machine != nil {
		t.Errorf("%+v, %v", vm, err)
	}
	if vm, err := h.VMs.StartVM(t.Context(), "v"); err != nil || vm.State != banger.VMRunning {
		t.Errorf("%+v, %v", vm, err)
	}
}

func TestStop_TellsHowTheMachineEnded(t *testing.T) {
	var complies atomic.Bool
	h := stubborn(t, &complies, make(chan struct{}, 1))
	if _, err := h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	stop := func(what string, grace time.Duration, want banger.StoppedBy) {
		t.Helper()
		vm, err := h.VMs.StartVM(t.Context(), "v")
		if err != nil || vm.StoppedBy != "" {
			t.Errorf("a running VM was stopped by %q (%v)", vm.StoppedBy, err)
		}
		vm, err = h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Kill: grace == 0, Grace: grace})
		if err != nil || vm.State != banger.VMStopped || vm.StoppedBy != want {
			t.Errorf("%s: stopped by %q (%s, %v), want %q", what, vm.StoppedBy, vm.State, err, want)
		}
		if got := lastStop(t, h); got != want {
			t.Errorf("%s: the event says %q, want %q", what, got, want)
		}
	}
	stop("a guest that ignores the button", time.Millisecond, banger.StoppedByKilled)
	complies.Store(true)
	stop("a guest that obeys the button", time.Minute, banger.StoppedByACPI)
	stop("a kill that is asked for", 0, banger.StoppedByKilled)
	vm, err := h.VMs.StartVM(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	h.Driver.PowerOff(vm.ID)
	if vm := waitState(t, h, "v", banger.VMStopped); vm.StoppedBy != banger.StoppedByGuest {
		t.Errorf("a guest that powers off by itself: stopped by %q", vm.StoppedBy)
	}
}

// lastStop is what the newest event about a stopped VM says of how it ended.
func lastStop(t *testing.T, h *hosttest.Host) banger.StoppedBy {
	t.Helper()
	newest, err := h.Store.Events.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var by banger.StoppedBy
	read := errors.New("all is read")
	err = h.Store.Events.WatchEvents(t.Context(), 0, func(e banger.Event) error {
		if e.VM != nil && e.VM.State == banger.VMStopped {
			by = e.VM.StoppedBy
		}
		if e.Revision >= newest {
			return read
		}
		return nil
	})
	if !errors.Is(err, read) {
		t.Fatal(err)
	}
	return by
}

func TestStop_WhileNoDaemonRunsIsKnownToTheNext(t *testing.T) {
	for _, test := range []struct {
		end   func(h *hosttest.Host, id banger.VMID)
		state banger.VMState
		by    banger.StoppedBy
	}{
		{func(h *hosttest.Host, id banger.VMID) { h.Driver.PowerOff(id) }, banger.VMStopped, banger.StoppedByGuest},
		{func(h *hosttest.Host, id banger.VMID) { h.Driver.Crash(id) }, banger.VMFailed, ""},
	} {
		h := hosttest.New(t, bin)
		vm := h.StartVM("v")
		h.RestartAfter(func() { test.end(h, vm.ID) })
		if vm := waitState(t, h, "v", test.state); vm.StoppedBy != test.by {
			t.Errorf("%s, stopped by %q; want %q", vm.State, vm.StoppedBy, test.by)
		}
	}
}

// awkward is a driver that cannot adopt while told so, or start.
type awkward struct {
	*inmem.Driver
	cannotAdopt *atomic.Bool
	beforeStart func()
}

func (d awkward) Adopt(ctx context.Context, ref json.RawMessage) (vmm.Machine, error) {
	if d.cannotAdopt.Load() {
		return nil, errHangs
	}
	return d.Driver.Adopt(ctx, ref)
}

func (d awkward) Start(ctx context.Context, spec vmm.MachineSpec) (vmm.Owned, error) {
	if d.beforeStart != nil {
		d.beforeStart()
	}
	return d.Driver.Start(ctx, spec)
}

var errHangs = errors.New("the machine does not answer")
