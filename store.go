package banger

import "context"

// Store keeps the records. Every change is one transaction: the change, the
// check of its transition, its event. A committed change survives the death of
// the process and of the host. Safe for concurrent use.
//
// Update functions get the record as it is, change it in place and return; an
// error ends the transaction and is returned. They run inside the transaction:
// they must be quick and not use the store. The store sets UpdatedAt and
// Revision; an update that changes nothing else makes no event.
//
// A record that does not exist is CodeNotFound, a name that is taken CodeExists.
type Store interface {
	VMStore
	SessionStore
	ImageStore
	EventService
	// Revision returns that of the newest event, 0 if there is none.
	Revision(ctx context.Context) (int64, error)
}

// VMStore keeps VMs.
type VMStore interface {
	CreateVM(ctx context.Context, vm VM) (VM, error)
	// RestoreVM is CreateVM of a VM whose record was lost, and whose image may be, too.
	RestoreVM(ctx context.Context, vm VM) (VM, error)
	GetVM(ctx context.Context, id VMID) (VM, error)
	// ListVMs returns all, oldest first. What they refer to may be shared: it must not be
	// changed.
	ListVMs(ctx context.Context) ([]VM, error)
	UpdateVM(ctx context.Context, id VMID, change func(*VM) error) (VM, error)
	// DeleteVM deletes its sessions too, each with its event.
	DeleteVM(ctx context.Context, id VMID) error
}

// SessionStore keeps sessions. What a session was started with is kept apart from its
// record: lists, changes and events have it in short (Session.Short), which is bounded;
// only what says so returns whole sessions.
type SessionStore interface {
	// CreateSession stores a session unless another one of its VM holds the same
	// idempotency key, which it then returns with created false. One that NeverArrived
	// gives the key up, and its name, if s has the same, for one that is made up. It is
	// returned whole.
	CreateSession(ctx context.Context, s Session, idempotencyKey string) (session Session, created bool, err error)
	// RestoreSessions stores those sessions that have no record, all in one
	// transaction, and returns how many. Where another session of the VM has the name,
	// that is changed; where one has the key, there is none.
	RestoreSessions(ctx context.Context, found []FoundSession) (restored int, err error)
	// GetSession returns a whole session.
	GetSession(ctx context.Context, id SessionID) (Session, error)
	// FindSession returns the session of a VM that holds a key, whole.
	FindSession(ctx context.Context, vm VMID, idempotencyKey string) (Session, error)
	// ResolveSession returns the session of a VM that a ref means, as Resolve does, whole.
	ResolveSession(ctx context.Context, vm VMID, ref string) (Session, error)
	// ListSessions returns the sessions of a VM, or of all if vm is empty, oldest first.
	// What they refer to may be shared: it must not be changed.
	ListSessions(ctx context.Context, vm VMID) ([]Session, error)
	// PageSessions returns a part of a list. next is the place of its last session, 0 if
	// there are no more.
	PageSessions(ctx context.Context, r SessionPageRequest) (page []Session, next int64, err error)
	// WaitSession returns a session, in short, as soon as done says so. done sees the
	// newest state, and not all that are passed; it must be quick and not use the store. A
	// session that is removed meanwhile is returned as it was, with CodeGone.
	WaitSession(ctx context.Context, id SessionID, done func(Session) bool) (Session, error)
	// UpdateSession changes a session in short and returns it so; its launch stays as it is.
	UpdateSession(ctx context.Context, id SessionID, change func(*Session) error) (Session, error)
	// UpdateSessions is UpdateSession for each of many that exists, all in one
	// transaction: either every change is made or none. What the sessions refer to may be
	// shared: change replaces it, and writes nothing into it.
	UpdateSessions(ctx context.Context, ids []SessionID, change func(*Session) error) error
	DeleteSession(ctx context.Context, id SessionID) error
}

// SessionPageRequest asks for a part of a list of sessions, oldest first.
type SessionPageRequest struct {
	VM VMID // of all if empty
	// Match selects sessions, which it gets in short; it must be quick and not use the store.
	Match func(Session) bool
	After int64 // the place of the session before the first one; 0 begins
	Limit int   // at most so many, and at least one
	Whole bool  // return them whole; a page also ends after MaxPageBytes of launches
}

// MaxPageBytes bounds the launches of a page of sessions, but for its last one's.
const MaxPageBytes = 8 << 20

// ImageStore keeps images.
type ImageStore interface {
	// PutImage stores or replaces the record of an image and takes its name from
	// any other.
	PutImage(ctx context.Context, i Image) (Image, error)
	ListImages(ctx context.Context) ([]Image, error) // oldest first
	// DeleteImage fails with CodeInUse, naming the VMs, while one refers to it.
	DeleteImage(ctx context.Context, id ImageID) error
}
