package store

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"banger"
)

// explain turns an error of SQLite into one a user may act on; any other stays
// as it is. What the end of ctx has caused is that end.
func (s *Store) explain(ctx context.Context, action string, err error) error {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch failed.Code() & 0xff { // the primary code: sqlite.org/rescode.html
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return s.corrupt(failed.Error())
	case sqlitelib.SQLITE_FULL:
		return banger.Errorf(banger.CodeUnavailable, "cannot %s: the disk of %s is full: %w", action, s.path, failed).
			WithHint("make room on it and repeat the command")
	}
	return fmt.Errorf("cannot %s in %s: %w", action, s.path, failed)
}

// full reports whether an error of the store means that its disk is full. SQLite says so
// of its writes only: where -wal and -shm cannot be made or grow, it is an input error.
func (s *Store) full(err error) bool {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch failed.Code() & 0xff {
	case sqlitelib.SQLITE_FULL:
		return true
	case sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_CANTOPEN:
		free, err := freeBytes(s.path)
		return err == nil && free < reserveBytes
	}
	return false
}

// corrupt says that the file is not what we wrote. It is left as it is: it may
// be the only trace of what ran.
func (s *Store) corrupt(why string) error {
	return banger.Errorf(banger.CodeCorrupt, "cannot use store %s: it is damaged: %s", s.path, why).
		WithHint("put back a copy of it, or move it and its -wal and -shm files away to begin with an empty store: mv %s %s.damaged", s.path, s.path)
}
