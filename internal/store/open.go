package store

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"banger"
	"banger/internal/filelock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// The header of a database file: sqlite.org/fileformat.html, section 1.3.
const (
	magic               = "SQLite format 3\x00"
	applicationIDOffset = 68
	applicationID       = 0x626e6772 // "bngr": what marks a database as ours
)

func open(ctx context.Context, path string, l limits) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open store: %w", err)
	}
	s, err := tryOpen(ctx, path, l)
	if err != nil {
		before := &Store{path: path, reserve: reserve{path: path + reserveSuffix}}
		if !before.full(err) || !before.reserve.give() {
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
	s := &Store{path: path, limits: l, reserve: reserve{path: path + reserveSuffix}, loading: make(chan struct{}, 1), closing: make(chan struct{})}
	s.recent.limits = limits{events: min(l.events, maxRecentEvents), bytes: min(l.bytes, maxRecentBytes)}
	defer func() {
		if err != nil {
			_ = s.disconnect() // what went wrong before says more
		}
	}()
	if err := s.create(ctx); err != nil {
		return nil, s.explain(ctx, "open store", err)
	}
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	if err := s.checkHeader(); err != nil {
		return nil, s.explain(ctx, "open store", err)
	}
	s.writer, err = connect(path, 1, "_txlock=immediate", "_pragma=journal_mode(wal)", "_pragma=synchronous(full)", "_pragma=foreign_keys(1)",
		"_pragma=secure_delete(1)") // a value of an environment is gone with its session
	if err != nil {
		return nil, s.explain(ctx, "open store", err)
	}
	if s.readers, err = connect(path, readConnections, "_pragma=query_only(1)"); err != nil {
		return nil, s.explain(ctx, "open store", err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, s.explain(ctx, "open store", err)
	}
	newest, err := s.revision(ctx)
	s.recent.reset(newest)
	return s, err
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

// create makes the file, for its owner only, and marks an empty one as ours.
// The mark is written in the rollback mode of a new database, so that it is in
// the file itself and not in a log beside it.
func (s *Store) create(ctx context.Context) (err error) {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
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
	db, err := connect(s.path, 1)
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
func (s *Store) takeLock() (err error) {
	if s.lock, err = os.OpenFile(s.path, os.O_RDWR, 0); err != nil {
		return fmt.Errorf("cannot open store: %w", err)
	}
	err = filelock.Lock(s.lock)
	if errors.Is(err, filelock.ErrHeld) {
		return banger.Errorf(banger.CodeExists, "cannot open store %s: another daemon has it open", s.path).
			WithHint("use that one, or stop it first with: banger daemon stop")
	}
	if err != nil {
		return fmt.Errorf("cannot open store: %w", err)
	}
	return nil
}

// checkHeader refuses a file that is not a database, or the database of another
// program, before anything is written to it.
func (s *Store) checkHeader() error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, applicationIDOffset+4)
	if _, err := io.ReadFull(f, header); err != nil || !bytes.HasPrefix(header, []byte(magic)) {
		return s.corrupt("it is no SQLite database")
	}
	if binary.BigEndian.Uint32(header[applicationIDOffset:]) != applicationID {
		return s.corrupt("it is a database of another program")
	}
	return nil
}

// prepare checks the whole file and brings its tables up to date.
func (s *Store) prepare(ctx context.Context) error {
	var verdict string
	if err := s.writer.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return s.corrupt(verdict)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return s.migrate(ctx, files)
}

// migrate brings the tables up to date, with a copy of the store before that.
func (s *Store) migrate(ctx context.Context, files fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.writer, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()), goose.WithGoMigrations(splitLaunches()))
	if err != nil {
		return err
	}
	have, know, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > know {
		return s.tooNew(have, know)
	}
	if have > 0 && have < know {
		_, s.uncopied = s.copy(ctx, time.Now(), fmt.Sprintf("-schema%d", have))
	}
	if _, err = provider.Up(ctx); err != nil {
		return err
	}
	_, err = s.writer.ExecContext(ctx, emptyLog)
	return err
}

// emptyLog brings all that was committed into the file itself and cuts the log beside it,
// in which there is still what has been deleted; unless a reader needs it
// (sqlite.org/pragma.html#pragma_wal_checkpoint).
const emptyLog = "PRAGMA wal_checkpoint(TRUNCATE)"

// disconnect closes what is open; an unused pool has nothing to report.
func (s *Store) disconnect() error {
	var errs []error
	for _, db := range []*sql.DB{s.readers, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, filelock.Unlock(s.lock))
	}
	return errors.Join(errs...)
}
