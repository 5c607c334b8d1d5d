//go:build !unit

package machine_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
	"banger/internal/machine"
	"banger/internal/machine/inmem"
	"banger/internal/store"
	"banger/internal/vmm"
)

func TestAdopt_OneMachineThatCannotBeAdoptedHindersNobody(t *testing.T) {
	var broken atomic.Bool
	h := hosttest.NewWith(t, bin, hosttest.Options{
		Driver: func(d *inmem.Driver) vmm.Driver { return awkward{Driver: d, cannotAdopt: &broken} },
	})
	h.StartVM("v")
	broken.Store(true)
	h.Restart()
	vm := get(t, h, "v")
	if vm.State != banger.VMFailed || !strings.Contains(vm.LastError, errHangs.Error()) || vm.Machine == nil {
		t.Errorf("%+v", vm)
	}
	// It may still run: so it is not started again, nor taken for stopped, nor deleted.
	if _, err := h.VMs.StartVM(t.Context(), "v"); !errors.Is(err, errHangs) {
		t.Errorf("start: %v", err)
	}
	if _, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Kill: true}); !errors.Is(err, errHangs) {
		t.Errorf("stop: %v", err)
	}
	if err := h.VMs.DeleteVM(t.Context(), "v", true); !errors.Is(err, errHangs) {
		t.Errorf("delete: %v", err)
	}
	broken.Store(false)
	if vm, err := h.VMs.StartVM(t.Context(), "v"); err != nil || vm.State != banger.VMRunning || vm.LastError != "" {
		t.Errorf("once it can be adopted: %+v, %v", vm, err)
	}
}

func TestAdopt_DamagedFolderOfOneVMHindersNobody(t *testing.T) {
	h := hosttest.New(t, bin)
	damaged := h.StartVM("damaged")
	h.StartVM("whole")
	key := filepath.Join(h.Paths.VM(damaged.ID), "ssh_host_ed25519_key")
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Restart()
	if vm := get(t, h, "whole"); vm.State != banger.VMRunning {
		t.Errorf("%+v", vm)
	}
	// Its guest cannot be reached, but it was up: the power button does its work.
	if vm, err := h.VMs.StopVM(t.Context(), "damaged", banger.VMStopRequest{Grace: time.Minute}); err != nil || vm.State != banger.VMStopped {
		t.Errorf("stop: %+v, %v", vm, err)
	}
	if _, err := h.VMs.StartVM(t.Context(), "damaged"); banger.CodeOf(err) != banger.CodeCorrupt {
		t.Errorf("start: %v", err)
	}
	if err := os.WriteFile(key, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.VMs.StartVM(t.Context(), "damaged"); err != nil {
		t.Errorf("start once it is repaired: %v", err)
	}
}

func TestAdopt_ReferenceThatNobodyCanReadIsALostMachine(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	h.Driver.Crash(vm.ID)
	waitState(t, h, "v", banger.VMFailed)
	if _, err := h.Store.VMs.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error {
		vm.Machine = json.RawMessage(`{}`)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	since, err := h.Store.Events.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.Restart()
	recorded := errors.New("the end is recorded")
	if err := h.Store.Events.WatchEvents(t.Context(), since, func(e banger.Event) error {
		if e.VM != nil {
			return recorded
		}
		return nil
	}); !errors.Is(err, recorded) {
		t.Fatal(err)
	}
	if vm := get(t, h, "v"); vm.State != banger.VMFailed || vm.Machine != nil || vm.LastError == "" {
		t.Errorf("%+v", vm)
	}
	if _, err := h.VMs.StartVM(t.Context(), "v"); err != nil {
		t.Error(err)
	}
}

func TestAdopt_SessionsOfAVMThatEndedWithItsDaemonHaveEnded(t *testing.T) {
	h := hosttest.New(t, bin)
	vm, err := h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "v"})
	if err != nil {
		t.Fatal(err)
	}
	// What a daemon leaves that dies between the two records.
	for _, status := range []banger.Status{banger.StatusStarting, banger.StatusRunning, banger.StatusStopping} {
		x := banger.Session{ID: banger.NewSessionID(), VMID: vm.ID, Name: string(status), Launch: banger.Launch{Command: "x", StdinMode: banger.StdinClosed}}
		x.Status = status
		if _, _, err := h.Store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
	}
	h.Restart()
	sessions, err := h.Sessions.ListSessions(t.Context(), banger.SessionFilter{VM: "v"})
	if err != nil || len(sessions) != 3 {
		t.Fatalf("%v, %v", sessions, err)
	}
	for i, x := range sessions {
		if sessions[i], err = h.Sessions.WaitSession(t.Context(), "v", x.Name); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range sessions {
		if x.EndedBy != banger.EndedByVMLost {
			t.Errorf("%s: %+v", x.Name, x.SessionState)
		}
	}
}

// together is a driver whose machines are adopted only when so many of them are at once.
type together struct {
	*inmem.Driver
	arrive func() error
}

func (d together) Adopt(ctx context.Context, ref json.RawMessage) (vmm.Machine, error) {
	if err := d.arrive(); err != nil {
		return nil, err
	}
	return d.Driver.Adopt(ctx, ref)
}

func TestAdopt_MachinesAreAdoptedSideBySide(t *testing.T) {
	const machines = 3
	var here atomic.Int32
	all, expect := make(chan struct{}), false
	arrive := func() error {
		if !expect {
			return nil
		}
		if here.Add(1) == machines {
			close(all)
		}
		select {
		case <-all:
			return nil
		case <-time.After(time.Minute):
			return errors.New("the others are not adopted meanwhile")
		}
	}
	h := hosttest.NewWith(t, bin, hosttest.Options{Driver: func(d *inmem.Driver) vmm.Driver { return together{d, arrive} }})
	for _, name := range []string{"a", "b", "c"} {
		h.StartVM(name)
	}
	expect = true
	h.Restart()
	for _, name := range []string{"a", "b", "c"} {
		if vm := get(t, h, name); vm.State != banger.VMRunning {
			t.Errorf("%+v", vm)
		}
	}
}

// slowDisks are disks that are read only when that is allowed.
type slowDisks struct {
	machine.Disks
	reading chan<- struct{}
	allowed <-chan struct{}
}

func (d slowDisks) ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	d.reading <- struct{}{}
	select {
	case <-d.allowed:
		return d.Disks.ReadDisk(ctx, path, f)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestAdopt_SlowDiskOfACrashedMachineHoldsUpOnlyItsVM(t *testing.T) {
	reading, allowed := make(chan struct{}, 10), make(chan struct{})
	h := hosttest.NewWith(t, bin, hosttest.Options{Disks: func(d machine.Disks) machine.Disks { return slowDisks{d, reading, allowed} }})
	crashed := h.StartVM("crashed")
	h.StartVM("whole")
	y := banger.Session{ID: banger.NewSessionID(), VMID: crashed.ID, Name: "y", Launch: banger.Launch{Command: "x", StdinMode: banger.StdinClosed}}
	y.Status = banger.StatusRunning
	if _, _, err := h.Store.Sessions.CreateSession(t.Context(), y, ""); err != nil {
		t.Fatal(err)
	}
	h.RestartAfterCrash(crashed.ID)
	<-reading
	if vm := get(t, h, "whole"); vm.State != banger.VMRunning {
		t.Errorf("while the disk of another is read: %+v", vm)
	}
	if _, err := h.Sessions.StartSession(t.Context(), "whole", banger.SessionRequest{Launch: banger.Launch{Command: "/bin/true"}}); err != nil {
		t.Error(err)
	}
	if got, err := h.Store.Sessions.GetSession(t.Context(), y.Key()); err != nil || got.Status.Ended() {
		t.Errorf("its end is recorded before its disk is read: %+v, %v", got.SessionState, err)
	}
	close(allowed)
	waitState(t, h, "crashed", banger.VMFailed)
	if got, err := h.Store.Sessions.GetSession(t.Context(), y.Key()); err != nil || got.EndedBy != banger.EndedByVMLost {
		t.Errorf("%+v, %v", got.SessionState, err)
	}
}

func TestAdopt_AMachineThatOnlyItsNoteNamesIsNotForgotten(t *testing.T) {
	for _, state := range []banger.VMState{banger.VMFailed, banger.VMStopped} {
		h := hosttest.New(t, bin)
		vm := h.StartVM("v")
		h.RestartAfter(func() {
			records, err := store.Open(t.Context(), h.Paths.Database())
			if err != nil {
				t.Fatal(err)
			}
			defer records.Close()
			if _, err := records.VMs.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error {
				vm.State, vm.Machine = state, nil
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		})
		if err := h.VMs.DeleteVM(t.Context(), "v", false); banger.CodeOf(err) != banger.CodeState {
			t.Errorf("%s: deleted under its machine: %v", state, err)
		}
		waitState(t, h, "v", banger.VMRunning)
		if vm, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Minute}); err != nil || vm.StoppedBy == banger.StoppedByKilled {
			t.Errorf("%s: %+v, %v", state, vm, err)
		}
	}
}

// A client may offer what a machine can by its record, also of a VM that an older build made.
func TestAdopt_RecordsSayWhatTheirMachinesCan(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	want := []banger.Capability{banger.CanPower, banger.CanConsole, banger.CanReadDisk}
	if !slices.Equal(vm.Capabilities, want) {
		t.Errorf("a new VM can %q, want %q", vm.Capabilities, want)
	}
	if _, err := h.Store.VMs.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error {
		vm.Capabilities = nil // as an older build has it
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.Restart()
	if vm = get(t, h, "v"); !slices.Equal(vm.Capabilities, want) {
		t.Errorf("a VM of an older build can %q, want %q", vm.Capabilities, want)
	}
}
