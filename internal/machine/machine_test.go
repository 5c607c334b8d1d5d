package machine_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
)

func get(t *testing.T, h *hosttest.Host, name string) banger.VM {
	t.Helper()
	vm, err := h.VMs.GetVM(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// waitState waits for a VM's record to reach a state.
func waitState(t *testing.T, h *hosttest.Host, name string, want banger.VMState) banger.VM {
	t.Helper()
	since, err := h.Store.Events.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	vm := get(t, h, name)
	stop := banger.Errorf(banger.CodeGone, "seen")
	for vm.State != want {
		err := h.Store.Events.WatchEvents(t.Context(), since, func(e banger.Event) error {
			since = e.Revision
			if e.VM != nil && e.VM.Name == name {
				vm = *e.VM
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
	return vm
}

func TestVM_StartIsIdempotentAndStopLeavesNothing(t *testing.T) {
	h := hosttest.New(t, bin)
	first := h.StartVM("v")
	again, err := h.VMs.StartVM(t.Context(), "v")
	if err != nil || again.BootID != first.BootID || again.State != banger.VMRunning {
		t.Errorf("a second start: %+v, %v", again, err)
	}
	vm, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Minute})
	if err != nil || vm.State != banger.VMStopped || vm.Machine != nil || vm.SSHAddress != "" {
		t.Errorf("after the stop: %+v, %v", vm, err)
	}
	if vm, err = h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Minute}); err != nil || vm.State != banger.VMStopped {
		t.Errorf("a second stop: %+v, %v", vm, err)
	}
}

func TestVM_MachineIsAdoptedByTheNextDaemon(t *testing.T) {
	h := hosttest.New(t, bin)
	before := h.StartVM("v")
	h.Restart()
	after := get(t, h, "v")
	if after.State != banger.VMRunning || string(after.Machine) != string(before.Machine) {
		t.Errorf("adopted as %+v", after)
	}
	if _, err := h.Sessions.StartSession(t.Context(), "v", banger.SessionRequest{Launch: banger.Launch{Command: "/bin/true"}}); err != nil {
		t.Errorf("the adopted guest is of no use: %v", err)
	}
}

func TestVM_MachineThatDiedUnseenIsFailed(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	h.Driver.Crash(vm.ID)
	if vm := waitState(t, h, "v", banger.VMFailed); vm.LastError == "" {
		t.Errorf("no reason is given: %+v", vm)
	}
	if _, err := h.VMs.StartVM(t.Context(), "v"); err != nil {
		t.Errorf("cannot start it again: %v", err)
	}
}

func TestVM_DeleteRemovesEverything(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	if err := h.VMs.DeleteVM(t.Context(), "v", false); banger.CodeOf(err) != banger.CodeState {
		t.Errorf("a running VM is deleted without force: %v", err)
	}
	if err := h.VMs.DeleteVM(t.Context(), "v", true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.VMs.GetVM(t.Context(), "v"); banger.CodeOf(err) != banger.CodeNotFound {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(h.Paths.VM(vm.ID)); !os.IsNotExist(err) {
		t.Errorf("its directory is left: %v", err)
	}
}

func TestVM_DirectoryThatIsNotOursIsLeftAlone(t *testing.T) {
	h := hosttest.New(t, bin)
	kept := h.Paths.VMs() + "/not-ours"
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	h.Restart()
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a directory that is not ours was removed: %v", err)
	}
}

func TestVM_CreateThatIsRefusedLeavesNothing(t *testing.T) {
	h := hosttest.New(t, bin)
	h.StartVM("v")
	for _, c := range []struct {
		request banger.VMRequest
		code    banger.Code
	}{
		{banger.VMRequest{Name: "v"}, banger.CodeExists},
		{banger.VMRequest{Name: "w", Image: "other"}, banger.CodeNotFound},
		{banger.VMRequest{Name: "-w"}, banger.CodeInvalid},
		{banger.VMRequest{Name: "w", MemoryMiB: 1}, banger.CodeInvalid},
	} {
		if _, err := h.VMs.CreateVM(t.Context(), c.request); banger.CodeOf(err) != c.code {
			t.Errorf("%+v: got %v", c.request, err)
		}
	}
	if entries, err := os.ReadDir(h.Paths.VMs()); err != nil || len(entries) != 1 {
		t.Errorf("VM directories: %v, %v", entries, err)
	}
}
