package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"banger"
	"banger/internal/records"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the tables up to date.
func migrate(ctx context.Context, db *database, copies *Copies) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return migrateBy(ctx, db, copies, files)
}

// migrateBy is migrate by the migrations in some files, with a copy of the store before that.
func migrateBy(ctx context.Context, db *database, copies *Copies, files fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db.writer, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()), goose.WithGoMigrations(splitLaunches()))
	if err != nil {
		return err
	}
	have, know, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > know {
		return db.location.tooNew(have, know)
	}
	if have > 0 && have < know {
		_, copies.uncopied = copies.make(ctx, time.Now(), fmt.Sprintf("-schema%d", have))
	}
	if _, err = provider.Up(ctx); err != nil {
		return err
	}
	_, err = db.writer.ExecContext(ctx, emptyLog)
	return err
}

// splitLaunches is migration 3: it takes the launch out of the records of sessions, and
// the values of environments out of all events.
func splitLaunches() *goose.Migration {
	return goose.NewGoMigration(3, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		if err := eachDocument(ctx, tx, "sessions", "seq", "true", splitLaunch); err != nil {
			return err
		}
		if err := eachDocument(ctx, tx, "events", "revision", "kind LIKE 'session.%'", shortenEvent); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE event_bytes SET total = (SELECT ifnull(sum(octet_length(record)), 0) FROM events)")
		return err
	}}, nil)
}

// eachDocument calls f with each session of a table, one after the other: all together
// may be more than the memory has room for.
func eachDocument(ctx context.Context, tx *sql.Tx, table, key, where string,
	f func(ctx context.Context, tx *sql.Tx, key int64, x banger.Session) error) error {
	for last := int64(-1); ; {
		var document []byte
		err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT %[2]s, record FROM %[1]s WHERE %[2]s > ? AND %[3]s ORDER BY %[2]s LIMIT 1", table, key, where), last).
			Scan(&last, &document)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		x, err := decode[banger.Session](document)
		if err != nil {
			return err
		}
		if err := f(ctx, tx, last, x); err != nil {
			return err
		}
	}
}

func splitLaunch(ctx context.Context, tx *sql.Tx, seq int64, x banger.Session) error {
	launch, err := json.Marshal(x.Launch)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO launches (session_id, launch) VALUES (?, ?)", string(x.ID), string(launch)); err != nil {
		return err
	}
	record, err := json.Marshal(records.Short(x))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE sessions SET record = ? WHERE seq = ?", string(record), seq)
	return err
}

func shortenEvent(ctx context.Context, tx *sql.Tx, revision int64, x banger.Session) error {
	record, err := json.Marshal(records.Short(x))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE events SET record = ? WHERE revision = ?", string(record), revision)
	return err
}
