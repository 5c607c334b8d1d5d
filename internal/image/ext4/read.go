package ext4

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"banger/internal/ext4fs"
)

// ReadDisk calls f with the file system in a file, which nobody else may use until
// f returns. A journal that a crash has left is replayed first, in the file.
func ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read disk: %w", err)
	}
	defer file.Close()
	fsys, err := ext4fs.Open(file)
	if errors.Is(err, ext4fs.ErrJournal) {
		if err = replay(ctx, path); err == nil {
			fsys, err = ext4fs.Open(file)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot read disk %s: %w", path, err)
	}
	return f(fsys)
}

// replay has e2fsck write what is in the journal to where it belongs.
func replay(ctx context.Context, path string) error {
	e2fsck, err := findProgram("e2fsck")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, e2fsck, "-p", "-E", "journal_only", path)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	const repaired = 1 // e2fsck(8), exit code
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == repaired {
		err = nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("e2fsck: %w: %.1000s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
