//go:build !unit

package machine_test

import (
	"os"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
)

// hostBooted makes the records say that the host has booted since, without any machine.
func hostBooted(t *testing.T, h *hosttest.Host) {
	t.Helper()
	vms, err := h.VMs.ListVMs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range vms {
		h.PowerOff(vm.ID)
		if vm.State == banger.VMRunning {
			waitState(t, h, vm.Name, banger.VMFailed)
		}
		if _, err := h.Store.VMs.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error {
			vm.HostBootID = "an earlier boot"
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func autostarting(t *testing.T, h *hosttest.Host, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: name, Autostart: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAutostart_OnceABootAndNotAtEachDaemon(t *testing.T) {
	h := hosttest.New(t, bin)
	autostarting(t, h, "ran", "never-ran")
	h.StartVM("by-hand")
	if _, err := h.VMs.StartVM(t.Context(), "ran"); err != nil {
		t.Fatal(err)
	}
	h.Restart()
	if vm := get(t, h, "never-ran"); vm.State != banger.VMStopped {
		t.Errorf("a daemon of the same boot has started it: %s", vm.State)
	}
	hostBooted(t, h)
	h.Restart()
	waitState(t, h, "ran", banger.VMRunning)
	waitState(t, h, "never-ran", banger.VMRunning)
	if _, err := h.VMs.StopVM(t.Context(), "ran", banger.VMStopRequest{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the end of the first waits for its starts
		h.Restart()
	}
	if vm := get(t, h, "ran"); vm.State != banger.VMStopped {
		t.Errorf("what its user has stopped is %s in the same boot", vm.State)
	}
	if vm := get(t, h, "by-hand"); vm.State != banger.VMFailed {
		t.Errorf("a VM without autostart is %s", vm.State)
	}
}

func TestAutostart_OneThatCannotStartSaysSoAndHindersNobody(t *testing.T) {
	h := hosttest.New(t, bin)
	autostarting(t, h, "broken", "whole")
	if err := os.RemoveAll(h.Paths.VM(get(t, h, "broken").ID)); err != nil {
		t.Fatal(err)
	}
	hostBooted(t, h)
	h.Restart()
	waitState(t, h, "whole", banger.VMRunning)
	h.Restart()
	if vm := get(t, h, "broken"); vm.State == banger.VMRunning || vm.LastError == "" {
		t.Errorf("it is %s, with the error %q", vm.State, vm.LastError)
	}
}

func TestAutostart_IsSetFromTheNextBootOn(t *testing.T) {
	h := hosttest.New(t, bin)
	if _, err := h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	hostBooted(t, h)
	on, off := true, false
	if vm, err := h.VMs.SetVM(t.Context(), "v", banger.VMUpdate{Autostart: &on}); err != nil || !vm.Autostart {
		t.Fatalf("%+v, %v", vm, err)
	}
	for range 2 {
		h.Restart()
	}
	if vm := get(t, h, "v"); vm.State != banger.VMStopped {
		t.Errorf("it was started in this boot: %s", vm.State)
	}
	hostBooted(t, h)
	h.Restart()
	waitState(t, h, "v", banger.VMRunning)
	if vm, err := h.VMs.SetVM(t.Context(), "v", banger.VMUpdate{Autostart: &off}); err != nil || vm.Autostart {
		t.Fatalf("%+v, %v", vm, err)
	}
	hostBooted(t, h)
	for range 2 {
		h.Restart()
	}
	if vm := get(t, h, "v"); vm.State != banger.VMFailed {
		t.Errorf("without autostart it is %s", vm.State)
	}
}
