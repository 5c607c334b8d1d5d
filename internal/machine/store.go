package machine

import (
	"context"

	"banger"
)

// Store keeps the records of VMs; internal/store does.
//
// Every change is one transaction: the change, the check of its transition, its event. A
// committed change survives the death of the process and of the host. Safe for concurrent
// use.
//
// Update functions get the record as it is, change it in place and return; an error ends
// the transaction and is returned. They run inside the transaction: they must be quick and
// not use the store. The store sets UpdatedAt and Revision; an update that changes nothing
// else makes no event.
//
// A record that does not exist is CodeNotFound, a name that is taken CodeExists.
type Store interface {
	CreateVM(ctx context.Context, vm banger.VM) (banger.VM, error)
	// RestoreVM is CreateVM of a VM whose record was lost, and whose image may be, too.
	RestoreVM(ctx context.Context, vm banger.VM) (banger.VM, error)
	GetVM(ctx context.Context, id banger.VMID) (banger.VM, error)
	// ListVMs returns all, oldest first. What they refer to may be shared: it must not be
	// changed.
	ListVMs(ctx context.Context) ([]banger.VM, error)
	UpdateVM(ctx context.Context, id banger.VMID, change func(*banger.VM) error) (banger.VM, error)
	// DeleteVM deletes its sessions too, each with its event.
	DeleteVM(ctx context.Context, id banger.VMID) error
	// ListSessions returns the sessions of a VM, oldest first. What they refer to may be
	// shared: it must not be changed.
	ListSessions(ctx context.Context, vm banger.VMID) ([]banger.Session, error)
}
