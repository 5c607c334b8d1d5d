package store

import (
	"context"
	"database/sql"
)

// readConnections is how many reads may run at once; more wait.
const readConnections = 4

// reader reads what has been committed, and never waits for a change. Safe for concurrent
// use.
type reader struct {
	location
	*calls
	db *sql.DB // query-only
}

// revision returns the newest one that the file has.
func (r *reader) revision(ctx context.Context) (revision int64, err error) {
	err = r.db.QueryRowContext(ctx, "SELECT ifnull(max(revision), 0) FROM events").Scan(&revision)
	return revision, r.explain(ctx, "read the newest revision", err)
}

// read is collect for callers.
func read[R any](ctx context.Context, r *reader, decode func([]byte) (R, error), query string, args ...any) ([]R, error) {
	leave, err := r.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	records, err := collect(ctx, r.db, decode, query, args...)
	return records, r.explain(ctx, "read records", err)
}
