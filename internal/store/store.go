// Package store keeps banger's records in one SQLite file, for the services of VMs,
// sessions and images; storetest is the whole of the contract as a test suite.
//
// Store opens the file and hands out what is in it, a type for each noun: VMs, Images,
// Sessions, Events. Their changes go through one writer, which has each known to readers,
// watchers and waiters; a change of one noun within a transaction is its vmTx, imageTx,
// sessionTx or epochTx.
//
// There is one connection that writes and a few that read. The file is in WAL
// mode with synchronous=FULL, so a write that has returned has reached the disk
// and readers never wait for a writer. Records are JSON documents; why is explained in
// docs/decisions/0002-records-as-documents.md.
package store

import (
	"context"
	"fmt"
	"path/filepath"
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

// Store is an open database file, and what is in it. Only one Store has it open at a time.
// Safe for concurrent use.
type Store struct {
	VMs        *VMs
	Images     *Images
	Sessions   *Sessions
	Events     *Events
	Copies     *Copies
	Continuity *Continuity

	database *database
	calls    *calls
	reserve  *reserve
}

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
	if !s.calls.end() {
		return nil
	}
	return s.database.close()
}

func open(ctx context.Context, path string, l limits) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open store: %w", err)
	}
	s, err := tryOpen(ctx, path, l)
	if err != nil {
		before := &reserve{path: path + reserveSuffix}
		if !location(path).full(err) || !before.give() {
			return nil, err
		}
		if s, err = tryOpen(ctx, path, l); err != nil {
			return nil, err
		}
	}
	s.reserve.restore()
	return s, nil
}

// tryOpen is open without the reserve.
func tryOpen(ctx context.Context, path string, l limits) (_ *Store, err error) {
	db, err := openDatabase(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.close() // what went wrong before says more
		}
	}()
	calls := newCalls()
	copies := &Copies{path: path, calls: calls}
	if err := migrate(ctx, db, copies); err != nil {
		return nil, db.location.explain(ctx, "open store", err)
	}
	s := newStore(db, calls, copies, l)
	newest, err := s.Events.reader.revision(ctx)
	if err != nil {
		return nil, err
	}
	s.Events.recent.reset(newest)
	return s, nil
}

// newStore makes what works on an open database, each of those before it.
func newStore(db *database, calls *calls, copies *Copies, l limits) *Store {
	recent := &recent{limits: limits{events: min(l.events, maxRecentEvents), bytes: min(l.bytes, maxRecentBytes)}}
	waits, lists := &waits{}, &lists{}
	reserve := &reserve{path: string(db.location) + reserveSuffix}
	reader := &reader{location: db.location, calls: calls, db: db.readers}
	writer := &writer{
		location: db.location, calls: calls, db: db.writer, reader: reader, limits: l, reserve: reserve,
		recent: recent, waits: waits, lists: lists,
	}
	listing := &listing{reader: reader, recent: recent, lists: lists, loading: make(chan struct{}, 1)}
	return &Store{
		VMs:        &VMs{reader: reader, writer: writer, lists: lists},
		Images:     &Images{reader: reader, writer: writer},
		Sessions:   &Sessions{reader: reader, writer: writer, recent: recent, waits: waits, lists: lists, listing: listing},
		Events:     &Events{reader: reader, recent: recent},
		Copies:     copies,
		Continuity: &Continuity{location: db.location, calls: calls, db: db.writer},
		database:   db, calls: calls, reserve: reserve,
	}
}
