package machine

import (
	"context"

	"banger"
	"banger/internal/records"
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
	// BeginEpoch records that an epoch has begun: that of a fork, which is a new VM, or, if
	// the VM exists, that of an older snapshot, which has been restored over it. vm has the
	// epoch and the one that it comes from; of a VM that exists, nothing else changes. sessions
	// are all that there are in the epoch, with the counts of bytes where it parted from the
	// other: the VM's records become those, whatever they were. All of it is one transaction,
	// and must come before the machine of the new epoch can be reached. An epoch begins once: another time is CodeExists.
	BeginEpoch(ctx context.Context, vm banger.VM, sessions []records.FoundSession) (banger.VM, error)
	// DeleteVM deletes its sessions too, each with its event.
	DeleteVM(ctx context.Context, id banger.VMID) error
}

// SessionRecords are the records of sessions; internal/store keeps them.
type SessionRecords interface {
	// ListSessions returns the sessions of a VM, oldest first. What they refer to may be
	// shared: it must not be changed.
	ListSessions(ctx context.Context, vm banger.VMID) ([]banger.Session, error)
}
