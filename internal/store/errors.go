package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"banger"
	"banger/internal/diskspace"
)

// location is the path of a store's file. Errors of the store name it.
type location string

// explain turns an error of SQLite into one a user may act on; any other stays
// as it is. What the end of ctx has caused is that end.
func (l location) explain(ctx context.Context, action string, err error) error {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch failed.Code() & 0xff { // the primary code: sqlite.org/rescode.html
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return l.corrupt(failed.Error())
	case sqlitelib.SQLITE_FULL:
		return banger.Errorf(banger.CodeUnavailable, "cannot %s: the disk of %s is full: %w", action, l, failed).
			WithHint("make room on it and repeat the command")
	}
	return fmt.Errorf("cannot %s in %s: %w", action, l, failed)
}

// full reports whether an error of the store means that its disk is full. SQLite says so
// of its writes only: where -wal and -shm cannot be made or grow, it is an input error.
func (l location) full(err error) bool {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch failed.Code() & 0xff {
	case sqlitelib.SQLITE_FULL:
		return true
	case sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_CANTOPEN:
		space, err := diskspace.Of(filepath.Dir(string(l)))
		return err == nil && space.Free < reserveBytes
	}
	return false
}

// corrupt says that the file is not what we wrote. It is left as it is: it may
// be the only trace of what ran.
func (l location) corrupt(why string) error {
	e := banger.Errorf(banger.CodeCorrupt, "cannot use store %s: it is damaged: %s", l, why)
	all, err := copies(string(l))
	if err != nil || len(all) == 0 {
		return e.WithHint("there is no copy of it; VMs and their sessions are known again from their directories, "+
			"events and the names of images are not. To begin with an empty store, run: %s", howToUse(nil, string(l)))
	}
	return e.WithHint("there is a copy of %s; VMs and sessions that are newer than it are known again from their directories, "+
		"events and names of images that are newer are not. To use it, run: %s",
		all[0].at.Format("2006-01-02 15:04 MST"), howToUse(&all[0], string(l)))
}

// tooNew says that a newer banger has changed the tables.
func (l location) tooNew(have, know int64) error {
	e := banger.Errorf(banger.CodeMismatch, "cannot open store %s: it was made by a newer banger (schema %d; this one knows %d)", l, have, know)
	all, _ := copies(string(l)) // without them there is the other hint
	for _, c := range all {
		if c.schema > 0 && c.schema <= know {
			return e.WithHint("update banger. Or use the copy that the newer one made of %s, before it changed the store; VMs and sessions that are newer "+
				"than that are known again from their directories, events and names of images that are newer are not. To use it, run: %s",
				c.at.Format("2006-01-02 15:04 MST"), howToUse(&c, string(l)))
		}
	}
	return e.WithHint("update banger, or set XDG_STATE_HOME to another directory to begin with an empty store")
}
