// Package store keeps banger's records in one SQLite file, for the services of VMs,
// sessions and images; storetest is the whole of the contract as a test suite.
//
// There is one connection that writes and a few that read. The file is in WAL
// mode with synchronous=FULL, so a write that has returned has reached the disk
// and readers never wait for a writer. Records are JSON documents; why is explained in
// docs/decisions/0002-records-as-documents.md.
package store

import (
	"context"
	"database/sql"
	"os"
	"sync"

	"banger"
)

// Limits of the kept events. The bytes are of their records. The end of a machine is an
// event for each of its sessions, of which there may be 10,000; nobody shall miss it.
const (
	maxEvents     = 50_000
	maxEventBytes = 64 << 20
)

// limits are the two, so that a test need not write so much.
type limits struct {
	events int64
	bytes  int64
}

// Store is an open database file. Only one Store has it open at a time. Safe for
// concurrent use.
type Store struct {
	path     string
	lock     *os.File // keeps the others out; closed last
	limits   limits
	writer   *sql.DB // one connection; its transactions begin with the write lock
	readers  *sql.DB // query-only
	recent   recent
	waits    waits
	lists    lists
	loading  chan struct{} // held while all sessions are read into lists
	reserve  reserve
	closing  chan struct{} // closed when Close begins
	uncopied error         // why there is no copy from before the tables were changed; nil if there is

	mu     sync.Mutex // guards closed and that no call begins after it is set
	closed bool
	calls  sync.WaitGroup // calls that are under way
}

// readConnections is how many reads may run at once; more wait.
const readConnections = 4

// Open opens the store in the file at path and makes it if there is none. One that
// another Store has open, of this process or another, is CodeExists. A
// file that a newer banger has made is CodeMismatch, one that is damaged or is no
// store of ours CodeCorrupt; neither is touched, and the hint says how to use a copy.
// Before its tables are changed a copy is made, if the disk has room.
//
// The whole file is checked before it is used (PRAGMA quick_check). That costs
// about 1 ms for each MiB, and the limits of the events keep the MiB below 100.
//
// On a full disk it opens with what its reserve gives up: a database in WAL mode needs
// room beside it even to be read.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, limits{events: maxEvents, bytes: maxEventBytes})
}

// Close ends the running watches, waits for every call and closes the file. It
// must not be called from a function that the store has called. Calls after it
// fail with CodeUnavailable.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	s.mu.Unlock()
	s.calls.Wait()
	return s.disconnect()
}

// enter begins a call; leave must be called when it is done.
func (s *Store) enter() (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	s.calls.Add(1)
	return s.calls.Done, nil
}

var errClosed = &banger.Error{Code: banger.CodeUnavailable, Message: "the store is closed"}
