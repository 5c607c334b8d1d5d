package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"banger/internal/diskspace"
	"banger/internal/files"
)

// Copies of the store lie beside it. Each is a whole database of its own, with the
// time in its name, and, if it was made before the tables were changed, the version that
// they had.
const (
	copiesDir      = "copies"
	copyTimeFormat = "20060102T150405Z"
	keptCopies     = 7 // of those that are made each day
	keptOldSchemas = 3 // of those that are made before the tables are changed
	// copyReserve is what the disk has left at least after a copy: without that there
	// is none.
	copyReserve = 256 << 20
)

// copyMark is the user_version of a copy; a store in use has that of its run, which is
// greater.
const copyMark = 1

// oldCopy is one copy.
type oldCopy struct {
	path   string
	at     time.Time
	schema int64 // of one that was made before the tables were changed, else 0
}

var copyName = regexp.MustCompile(`^banger-(\d{8}T\d{6}Z)(?:-schema(\d{1,9}))?\.db$`)

// copies returns the copies of the store at path, newest first.
func copies(path string) ([]oldCopy, error) {
	dir := filepath.Join(filepath.Dir(path), copiesDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []oldCopy
	for _, e := range entries {
		m := copyName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		at, err := time.Parse(copyTimeFormat, m[1])
		if err != nil {
			continue
		}
		schema, _ := strconv.ParseInt("0"+m[2], 10, 64) // nine digits at most
		all = append(all, oldCopy{filepath.Join(dir, e.Name()), at, schema})
	}
	slices.SortStableFunc(all, func(a, b oldCopy) int { return b.at.Compare(a.at) })
	return all, nil
}

// NewestCopy returns where the newest copy of the store at path is, and when it was made;
// no path if there is none.
func NewestCopy(path string) (copyPath string, at time.Time, err error) {
	all, err := copies(path)
	if err != nil || len(all) == 0 {
		return "", time.Time{}, err
	}
	return all[0].path, all[0].at, nil
}

// Between two copies of a store that is in use, and at most between two looks at how
// old the newest is: a host that sleeps has no day in 24 hours.
const (
	copyAge   = 24 * time.Hour
	copyPause = time.Hour
)

// Copies makes copies of an open store.
type Copies struct {
	path     string
	calls    *calls
	uncopied error // why there is no copy from before the tables were changed; nil if there is
}

// Keep makes a copy of the store each day, and now if the newest is older than
// that, until ctx ends. A copy that cannot be made is logged.
func (c *Copies) Keep(ctx context.Context, log *slog.Logger) {
	if c.uncopied != nil {
		log.Error("the tables of the store were changed without a copy", "cause", c.uncopied)
	}
	for {
		made, err := c.makeIfDue(ctx, time.Now())
		switch {
		case ctx.Err() != nil || errors.Is(err, errClosed):
			return
		case err != nil:
			log.Error("cannot copy the store", "cause", err)
		case made != "":
			log.Info("the store has been copied", "path", made)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(copyPause):
		}
	}
}

// makeIfDue makes a copy unless there is one of the last day, and returns where it is.
// One of the time to come was made by a clock that was wrong.
func (c *Copies) makeIfDue(ctx context.Context, now time.Time) (made string, err error) {
	leave, err := c.calls.enter()
	if err != nil {
		return "", err
	}
	defer leave()
	all, err := copies(c.path)
	if err != nil {
		return "", fmt.Errorf("cannot list the copies of store %s: %w", c.path, err)
	}
	for _, one := range all {
		if age := now.Sub(one.at); age >= 0 && age < copyAge {
			return "", nil
		}
	}
	return c.make(ctx, now, "")
}

// make makes a copy, checks it, gives it its name and removes the oldest ones.
func (c *Copies) make(ctx context.Context, at time.Time, suffix string) (made string, err error) {
	dir := filepath.Join(filepath.Dir(c.path), copiesDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot copy store %s: %w", c.path, err)
	}
	if err := c.checkRoom(dir); err != nil {
		return "", err
	}
	temp := filepath.Join(dir, ".new.db")
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot copy store %s: %w", c.path, err), removeDatabase(temp))
		}
	}()
	if err := removeDatabase(temp); err != nil { // of a process that died
		return "", err
	}
	if err := c.vacuumInto(ctx, temp); err != nil {
		return "", err
	}
	if err := markCopy(ctx, temp); err != nil {
		return "", err
	}
	if err := errors.Join(os.Chmod(temp, 0o600), files.Sync(temp)); err != nil {
		return "", err
	}
	made = filepath.Join(dir, "banger-"+at.UTC().Format(copyTimeFormat)+suffix+".db")
	if err := os.Rename(temp, made); err != nil {
		return "", err
	}
	return made, errors.Join(files.SyncDir(dir), c.prune())
}

// checkRoom fails if a copy, and the journal of its check, would leave the disk too
// little.
func (c *Copies) checkRoom(dir string) error {
	info, err := os.Stat(c.path)
	if err != nil {
		return err
	}
	size := info.Size()
	if wal, err := os.Stat(c.path + "-wal"); err == nil {
		size += wal.Size()
	}
	space, err := diskspace.Of(dir)
	if err != nil {
		return err
	}
	if space.Free < size+copyReserve {
		return fmt.Errorf("cannot copy store %s: its disk has %d bytes free, and a copy of %d has to leave %d", c.path, space.Free, size, copyReserve)
	}
	return nil
}

// vacuumInto writes all that is in the store now to a new file; lang_vacuum.html,
// "VACUUM with an INTO clause". Nobody waits for it: it only reads.
func (c *Copies) vacuumInto(ctx context.Context, path string) (err error) {
	db, err := connect(c.path, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

// markCopy checks a new copy and marks it as one.
func markCopy(ctx context.Context, path string) (err error) {
	db, err := connect(path, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("the copy is damaged: %s", verdict)
	}
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", copyMark))
	return err
}

// removeDatabase removes a database with what SQLite keeps beside it.
func removeDatabase(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// prune removes the oldest copies of each kind.
func (c *Copies) prune() error {
	all, err := copies(c.path)
	if err != nil {
		return err
	}
	daily, old := keptCopies, keptOldSchemas
	for _, one := range all {
		left := &daily
		if one.schema > 0 {
			left = &old
		}
		if *left--; *left < 0 {
			err = errors.Join(err, os.Remove(one.path))
		}
	}
	return err
}

// howToUse returns the shell commands that put a copy, or nothing if c is nil, in the
// place of the store at path, which they keep.
func howToUse(c *oldCopy, path string) string {
	aside := filepath.Join(filepath.Dir(path), "store-"+time.Now().UTC().Format(copyTimeFormat))
	commands := []string{
		"banger daemon stop", "mkdir " + shellWord(aside), "mv " + shellWord(path) + "* " + shellWord(aside),
	}
	if c != nil {
		commands = append(commands, "cp "+shellWord(c.path)+" "+shellWord(path))
	}
	return strings.Join(commands, " && ")
}

// shellWord quotes a path for a shell if that is necessary.
func shellWord(path string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-+", c)
	}
	if strings.IndexFunc(path, func(c rune) bool { return !plain(c) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
