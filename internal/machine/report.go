package machine

import (
	"context"
	"io/fs"
	"log/slog"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/vmm"
)

// reporter lets the sessions know what becomes of machines, and has those found that have
// no record.
type reporter struct {
	store    Store
	sessions Sessions
	drivers  vmm.Drivers
	disks    *workDisks
	log      *slog.Logger
}

// endSessions records what became of the sessions of a machine that ended at a time,
// zero if nobody saw that. limit bounds the reading of its disk, to which the caller has
// a right as that of workDisks.read.
func (r *reporter) endSessions(ctx context.Context, id banger.VMID, by banger.EndedBy, at time.Time, limit time.Duration) error {
	end := r.machineEnd(id, vmm.MachineEnd{By: by, At: at}, limit)
	if err := r.sessions.MachineEnded(ctx, id, end); err != nil {
		return err
	}
	r.takeInFromDisk(ctx, id, end)
	return nil
}

// machineEnd is an end with the disk of the VM's machine.
func (r *reporter) machineEnd(id banger.VMID, end vmm.MachineEnd, limit time.Duration) vmm.MachineEnd {
	end.Disk = func(ctx context.Context, f func(context.Context, fs.FS) error) error {
		return r.disks.read(ctx, id, limit, f)
	}
	return end
}

// sessionsTaken records that all sessions of a VM are known.
func (r *reporter) sessionsTaken(ctx context.Context, id banger.VMID) error {
	_, err := r.store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		vm.SessionsUnknown = false
		return nil
	})
	return err
}

// takeInFromDisk gives the sessions on the disk of a machine that has ended their
// records. What fails is tried again by the next start or daemon.
func (r *reporter) takeInFromDisk(ctx context.Context, id banger.VMID, end vmm.MachineEnd) {
	vm, err := r.store.GetVM(ctx, id)
	if err == nil && !vm.SessionsUnknown {
		return
	}
	if err == nil {
		err = r.sessions.TakeInFromDisk(ctx, id, end)
	}
	if err == nil {
		err = r.sessionsTaken(ctx, id)
	}
	if err != nil {
		r.log.Error("cannot give sessions on a disk their records", "vm", id, "cause", err)
	}
}

// takeInFromGuest does the same for a guest that is up.
func (r *reporter) takeInFromGuest(ctx context.Context, id banger.VMID, g guestapi.Guest) error {
	vm, err := r.store.GetVM(ctx, id)
	if err != nil || !vm.SessionsUnknown {
		return err
	}
	if err := r.sessions.TakeIn(ctx, id, g, r.drivers.Standing(vm)); err != nil {
		return err
	}
	return r.sessionsTaken(ctx, id)
}
