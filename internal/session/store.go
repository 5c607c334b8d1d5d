package session

import (
	"context"

	"banger"
	"banger/internal/lineage"
	"banger/internal/records"
)

// Store keeps the records of sessions; internal/store does. What a session was started
// with is kept apart from its record: lists, changes and events have it in short
// (records.Short), which is bounded; only what says so returns whole sessions.
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
//
// Two VMs may have sessions with the same id. Each session is of the epoch that its VM is in.
type Store interface {
	// CreateSession stores a session unless another one of its VM holds the same
	// idempotency key, which it then returns with created false. One that NeverArrived
	// gives the key up, and its name, if s has the same, for one that is made up. It is
	// returned whole.
	CreateSession(ctx context.Context, s banger.Session, idempotencyKey string) (session banger.Session, created bool, err error)
	// RestoreSessions stores those sessions that have no record, all in one
	// transaction, and returns how many. Where another session of the VM has the name,
	// that is changed; where one has the key, there is none. In a VM that has parted from
	// another epoch, no position of an earlier epoch is known to be valid in them.
	RestoreSessions(ctx context.Context, found []records.FoundSession) (restored int, err error)
	// GetSession returns a whole session.
	GetSession(ctx context.Context, key banger.SessionKey) (banger.Session, error)
	// FindSession returns the session of a VM that holds a key, whole.
	FindSession(ctx context.Context, vm banger.VMID, idempotencyKey string) (banger.Session, error)
	// ResolveSession returns the session of a VM that a ref means, as records.Resolve does, whole.
	ResolveSession(ctx context.Context, vm banger.VMID, ref string) (banger.Session, error)
	// ListSessions returns the sessions of a VM, or of all if vm is empty, oldest first.
	// What they refer to may be shared: it must not be changed.
	ListSessions(ctx context.Context, vm banger.VMID) ([]banger.Session, error)
	// PageSessions returns a part of a list. next is the place of its last session, 0 if
	// there are no more.
	PageSessions(ctx context.Context, r records.SessionPageRequest) (page []banger.Session, next int64, err error)
	// WaitSession returns a session, in short, as soon as done says so. done sees the
	// newest state, and not all that are passed; it must be quick and not use the store. A
	// session that is removed meanwhile is returned as it was, with CodeGone.
	WaitSession(ctx context.Context, key banger.SessionKey, done func(banger.Session) bool) (banger.Session, error)
	// UpdateSession changes a session in short and returns it so; its launch stays as it is.
	UpdateSession(ctx context.Context, key banger.SessionKey, change func(*banger.Session) error) (banger.Session, error)
	// UpdateSessions is UpdateSession for each of many of one VM that exists, all in one
	// transaction: either every change is made or none. What the sessions refer to may be
	// shared: change replaces it, and writes nothing into it.
	UpdateSessions(ctx context.Context, vm banger.VMID, ids []banger.SessionID, change func(*banger.Session) error) error
	DeleteSession(ctx context.Context, key banger.SessionKey) error

	// Lineage returns the ways to the epoch of a session's VM and to another epoch, as the
	// session sees them. An empty epoch is that in which the session began; one that is not
	// known has a way of its own.
	Lineage(ctx context.Context, key banger.SessionKey, of banger.Epoch) (own, other lineage.Line, err error)
}

// VMs are the records of the VMs that sessions are of; internal/store keeps them.
type VMs interface {
	ListVMs(ctx context.Context) ([]banger.VM, error) // oldest first; what they refer to must not be changed
	GetVM(ctx context.Context, id banger.VMID) (banger.VM, error)
}
