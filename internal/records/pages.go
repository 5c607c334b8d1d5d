package records

import "banger"

// SessionPageRequest asks for a part of a list of sessions, oldest first.
type SessionPageRequest struct {
	VM banger.VMID // of all if empty
	// Match selects sessions, which it gets in short; it must be quick and not use the store.
	Match func(banger.Session) bool
	After int64 // the place of the session before the first one; 0 begins
	Limit int   // how many at most; at least one
	Whole bool  // return them whole; a page also ends after MaxPageBytes of launches
}

// MaxPageBytes bounds the launches of a page of sessions, but for its last one's.
const MaxPageBytes = 8 << 20

// FoundSession is a session whose record was made again out of its directory.
type FoundSession struct {
	banger.Session
	IdempotencyKey string // that it was created with, or empty
}
