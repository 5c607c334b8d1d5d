package machine

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"banger"
	"banger/internal/vmm"
)

// adopter takes over machines that this process did not start.
type adopter struct {
	store    Store
	drivers  vmm.Drivers
	homes    *homes
	runs     *runs
	reporter *reporter
	log      *slog.Logger
}

// find returns the run of a VM, nil if it has none. A machine that could not
// be adopted when the daemon started is tried again, and so is one of which only its
// driver's note tells: while it may run, no second one is started, and nothing of it is
// removed. The caller holds the VM's lock.
func (a *adopter) find(ctx context.Context, id banger.VMID) (*run, error) {
	if r := a.runs.of(id); r != nil {
		return r, nil
	}
	vm, err := a.store.GetVM(ctx, id)
	if err != nil || !a.mayRun(ctx, vm) {
		return nil, err
	}
	r, why, err := a.tryAdopt(ctx, vm)
	if why != "" {
		err = a.recordLost(ctx, vm.ID, why)
	}
	return r, err
}

// mayRun reports whether a VM may have a machine: the record says so, or the note of its
// driver names one that lives.
func (a *adopter) mayRun(ctx context.Context, vm banger.VM) bool {
	if vm.Machine != nil {
		return true
	}
	ref, err := a.machineRef(vm)
	if err != nil || ref == nil {
		return err != nil
	}
	m, err := a.adoptBy(ctx, vm, ref)
	if err == nil {
		_ = m.Close()
		return true
	}
	return !errors.Is(err, vmm.ErrMachineGone) && banger.CodeOf(err) != banger.CodeCorrupt
}

// adoptBy has the driver of a VM adopt its machine.
func (a *adopter) adoptBy(ctx context.Context, vm banger.VM, ref json.RawMessage) (vmm.Machine, error) {
	driver, err := a.drivers.Of(vm)
	if err != nil {
		return nil, err
	}
	return driver.Adopt(ctx, ref)
}

// tryAdopt brings one VM's record in line with its machine and returns its run, or if the
// machine has ended, why that is known: then nothing is recorded yet.
func (a *adopter) tryAdopt(ctx context.Context, vm banger.VM) (r *run, ended string, err error) {
	ref, err := a.machineRef(vm)
	if err != nil {
		return nil, "", err
	}
	var m vmm.Machine
	if ref != nil {
		m, err = a.adoptBy(ctx, vm, ref)
	}
	switch {
	case ref == nil || errors.Is(err, vmm.ErrMachineGone):
		return nil, "the machine ended while no daemon was running", nil
	case banger.CodeOf(err) == banger.CodeCorrupt:
		// Nothing will ever find it; the driver's locks protect its disks.
		return nil, err.Error(), nil
	case err != nil:
		return nil, "", errors.Join(err, a.keepRef(ctx, vm.ID, ref))
	}
	var hostKey string
	if _, ours := m.(vmm.Dialer); ours {
		_, hostKey, err = a.homes.readHostKey(vm.ID)
	}
	if err != nil {
		// Without it there is no link, but the machine can be stopped.
		a.log.Error("cannot reach the guest of a machine", "vm", vm.ID, "cause", err)
	}
	if err := storeMachine(ctx, a.store, vm.ID, m); err != nil {
		return nil, "", errors.Join(err, m.Close())
	}
	a.log.Info("adopted machine", "vm", vm.ID, "pid", m.Info().PID)
	r = a.runs.begin(vm, m, hostKey)
	if vm.State == banger.VMStopping {
		// The grace time of the stop was not recorded. The guest may have been asked already
		// or not; killed at once, it would lose what it has not written to its disk.
		a.runs.stop(r, banger.VMStopRequest{}.WithDefaults(vm).Grace) // it logs its failure
	}
	return r, "", nil
}

// machineRef returns how to adopt the machine of a VM, nil if there is none. If
// the daemon died between starting it and storing that, the driver's own note tells.
func (a *adopter) machineRef(vm banger.VM) (json.RawMessage, error) {
	if vm.Machine != nil {
		return vm.Machine, nil
	}
	note, err := os.ReadFile(filepath.Join(a.homes.dir(vm.ID), vmm.MachineRefName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return note, err
}

// keepRef makes sure that a machine which may run is not forgotten.
func (a *adopter) keepRef(ctx context.Context, id banger.VMID, ref json.RawMessage) error {
	_, err := a.store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.Machine = ref
		return nil
	})
	return err
}

// recordLost records that a machine ended unseen, and why. One whose guest had said that it
// powers off has stopped. Its sessions come first, so that a crash in between leaves what
// the next daemon records again.
func (a *adopter) recordLost(ctx context.Context, id banger.VMID, why string) error {
	vm, err := a.store.GetVM(ctx, id)
	if err != nil {
		return err
	}
	cause, by := banger.EndedByVMLost, banger.StoppedByKilled
	if a.poweredOff(vm) {
		by = banger.StoppedByGuest
	}
	if vm.State == banger.VMStopping || by == banger.StoppedByGuest {
		cause = banger.EndedByVMStopped
	}
	if err := a.reporter.endSessions(ctx, id, cause, time.Time{}, diskTimeout); err != nil {
		return err
	}
	_, err = a.store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		forgetMachine(vm)
		if cause == banger.EndedByVMStopped {
			vm.State, vm.LastError, vm.StoppedBy = banger.VMStopped, "", by
			return nil
		}
		vm.State, vm.LastError = banger.VMFailed, why
		return nil
	})
	return err
}

// poweredOff reports whether the guest of a machine that has ended had said that it powers off.
func (a *adopter) poweredOff(vm banger.VM) bool {
	ref, err := a.machineRef(vm)
	if err != nil || ref == nil {
		return false
	}
	driver, err := a.drivers.Starter(vm, "stop")
	return err == nil && driver.PoweredOff(ref)
}

// runningMachine returns what the driver has noted in the directory of a VM, and
// whether a machine of that may run.
func (a *adopter) runningMachine(ctx context.Context, vm banger.VM) (ref json.RawMessage, running bool) {
	vm.Machine = nil
	ref, err := a.machineRef(vm)
	if err != nil {
		return nil, true // it cannot be told
	}
	if ref == nil {
		return nil, false
	}
	m, err := a.adoptBy(ctx, vm, ref)
	if err == nil {
		_ = m.Close() // it is adopted for good when its record is there
	}
	gone := errors.Is(err, vmm.ErrMachineGone) || banger.CodeOf(err) == banger.CodeCorrupt
	return ref, !gone
}

// forgetMachine takes from a VM's record what only a running machine has.
func forgetMachine(vm *banger.VM) {
	vm.Machine, vm.SSHAddress, vm.BootID, vm.Accelerator, vm.EndsWith, vm.StoppedAt = nil, "", "", "", "", now()
}
