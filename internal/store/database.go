package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"banger"
	"banger/internal/filelock"
)

// The header of a database file: sqlite.org/fileformat.html, section 1.3.
const (
	magic               = "SQLite format 3\x00"
	applicationIDOffset = 68
	applicationID       = 0x626e6772 // "bngr": what marks a database as ours
)

// database is an open file, which is locked, and the connections to it.
type database struct {
	location location
	lock     *os.File // keeps the others out; closed last
	writer   *sql.DB  // one connection; its transactions begin with the write lock
	readers  *sql.DB  // query-only
}

// openDatabase makes the file if there is none, and checks the whole of one that there is.
func openDatabase(ctx context.Context, path string) (_ *database, err error) {
	d := &database{location: location(path)}
	defer func() {
		if err != nil {
			_ = d.close() // what went wrong before says more
			err = d.location.explain(ctx, "open store", err)
		}
	}()
	if err := create(ctx, path); err != nil {
		return nil, err
	}
	if err := d.takeLock(); err != nil {
		return nil, err
	}
	if err := d.location.checkHeader(); err != nil {
		return nil, err
	}
	d.writer, err = connect(path, 1, "_txlock=immediate", "_pragma=journal_mode(wal)", "_pragma=synchronous(full)", "_pragma=foreign_keys(1)",
		"_pragma=secure_delete(1)") // a value of an environment is gone with its session
	if err != nil {
		return nil, err
	}
	if d.readers, err = connect(path, readConnections, "_pragma=query_only(1)"); err != nil {
		return nil, err
	}
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// create makes the file, for its owner only, and marks an empty one as ours.
// The mark is written in the rollback mode of a new database, so that it is in
// the file itself and not in a log beside it.
func create(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open store: %w", err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if info.Size() > 0 {
		return nil
	}
	db, err := connect(path, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	return err
}

// takeLock makes sure that no other store has the file open, by whatever path or name.
// It is of another kind than SQLite's own locks, which the end of any open file of this
// process would release, and lies beside them.
func (d *database) takeLock() (err error) {
	if d.lock, err = os.OpenFile(string(d.location), os.O_RDWR, 0); err != nil {
		return fmt.Errorf("cannot open store: %w", err)
	}
	err = filelock.Lock(d.lock)
	if errors.Is(err, filelock.ErrHeld) {
		return banger.Errorf(banger.CodeExists, "cannot open store %s: another daemon has it open", d.location).
			WithHint("use that one, or stop it first with: banger daemon stop")
	}
	if err != nil {
		return fmt.Errorf("cannot open store: %w", err)
	}
	return nil
}

// checkHeader refuses a file that is not a database, or the database of another
// program, before anything is written to it.
func (l location) checkHeader() error {
	f, err := os.Open(string(l))
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, applicationIDOffset+4)
	if _, err := io.ReadFull(f, header); err != nil || !bytes.HasPrefix(header, []byte(magic)) {
		return l.corrupt("it is no SQLite database")
	}
	if binary.BigEndian.Uint32(header[applicationIDOffset:]) != applicationID {
		return l.corrupt("it is a database of another program")
	}
	return nil
}

// check checks the whole file.
func (d *database) check(ctx context.Context) error {
	var verdict string
	if err := d.writer.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return d.location.corrupt(verdict)
	}
	return nil
}

// close closes what is open; an unused pool has nothing to report.
func (d *database) close() error {
	var errs []error
	for _, db := range []*sql.DB{d.readers, d.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if d.lock != nil {
		errs = append(errs, filelock.Unlock(d.lock))
	}
	return errors.Join(errs...)
}

// connect makes a pool of connections; none is made before it is used.
func connect(path string, connections int, options ...string) (*sql.DB, error) {
	dsn := (&url.URL{Scheme: "file", Path: path}).String() + "?_pragma=busy_timeout(10000)"
	for _, o := range options {
		dsn += "&" + o
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// emptyLog brings all that was committed into the file itself and cuts the log beside it,
// in which there is still what has been deleted; unless a reader needs it
// (sqlite.org/pragma.html#pragma_wal_checkpoint).
const emptyLog = "PRAGMA wal_checkpoint(TRUNCATE)"
