package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"banger/internal/files"
)

// runSuffix names the file beside the store that has the store's user_version (pragma.html)
// as it was when the last daemon began to use it. So a copy that was put in the
// store's place is known as such.
const runSuffix = ".run"

// Continuity tells a store that was always the one in its place from a copy that was put
// there.
type Continuity struct {
	location location
	calls    *calls
	db       *sql.DB // that writes
}

// Restored reports whether the store is not the one that was used last in its place: a
// copy of it, perhaps older than the VMs beside it. That stays so until Continue.
func (c *Continuity) Restored(ctx context.Context) (bool, error) {
	leave, err := c.calls.enter()
	if err != nil {
		return false, err
	}
	defer leave()
	var is int64
	if err := c.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&is); err != nil {
		return false, c.location.explain(ctx, "read version", err)
	}
	data, err := os.ReadFile(string(c.location) + runSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return is != 0, nil // it is new, or of a banger that kept no such file
	}
	if err != nil {
		return false, fmt.Errorf("cannot determine whether store %s was restored: %w", c.location, err)
	}
	was, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return err != nil || is != was, nil
}

// Continue makes this the store that was used last in its place.
func (c *Continuity) Continue(ctx context.Context) error {
	leave, err := c.calls.enter()
	if err != nil {
		return err
	}
	defer leave()
	run := copyMark + 1 + rand.Int32N(1<<31-copyMark-2) // it only has to be another one each time
	if _, err := c.db.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", run)); err != nil {
		return c.location.explain(ctx, "mark store", err)
	}
	return files.Write(string(c.location)+runSuffix, []byte(strconv.Itoa(int(run))+"\n"), 0o600)
}
