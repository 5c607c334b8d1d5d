package ext4

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"banger"
	"banger/internal/confine"
	"banger/internal/files"
	"banger/internal/process"
)

// The least size of a disk, and its journal: big enough for the bursts of a
// build, small enough for the host, which in time holds all of it.
const (
	minDiskMiB      = banger.MinDiskMiB
	journalMiB      = 32
	smallDiskMiB    = 1024 // below it
	smallJournalMiB = 4
	maxLabelBytes   = 16 // s_volume_name
)

// maxSaid bounds what is kept of what a program prints: who reads a disk of a guest
// may be made to say a lot.
const maxSaid = 4 << 10

// NewDisk makes a sparse file with an empty ext4 file system and puts it at
// path, durably; until it is complete, path does not exist. A file that is
// there already is CodeExists: a disk is never overwritten.
func NewDisk(ctx context.Context, path string, sizeMiB int, label string) error {
	if sizeMiB < minDiskMiB || sizeMiB > banger.MaxDiskMiB {
		return banger.Errorf(banger.CodeInvalid, "cannot make disk %s: %d MiB cannot work; it must lie between %d and %d MiB",
			path, sizeMiB, minDiskMiB, banger.MaxDiskMiB)
	}
	if len(label) > maxLabelBytes || strings.HasPrefix(label, "-") {
		return banger.Errorf(banger.CodeInvalid, "cannot make disk %s: %q cannot be a label", path, label)
	}
	if _, err := os.Lstat(path); err == nil {
		return banger.Errorf(banger.CodeExists, "cannot make disk %s: it exists", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot make disk %s: %w", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".disk-*")
	if err != nil {
		return fmt.Errorf("cannot make disk %s: %w", path, err)
	}
	defer os.Remove(temp.Name()) // does nothing once it is renamed
	defer temp.Close()
	if err := format(ctx, temp, sizeMiB, label); err != nil {
		return fmt.Errorf("cannot make disk %s: %w", path, err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("cannot make disk %s: %w", path, err)
	}
	return files.SyncDir(filepath.Dir(path))
}

// format gives an empty file its size and its file system, and syncs it.
func format(ctx context.Context, f *os.File, sizeMiB int, label string) error {
	if err := f.Truncate(int64(sizeMiB) << 20); err != nil {
		return err
	}
	journal := journalMiB
	if sizeMiB < smallDiskMiB {
		journal = smallJournalMiB
	}
	// A new file reads as zeros, so neither mkfs nor the guest's kernel later
	// need write them: that keeps it sparse.
	err := run(ctx, reachOf(f.Name()), nil, "mkfs.ext4", "-q", "-F", "-t", "ext4", "-L", label, "-m", "0",
		"-J", fmt.Sprintf("size=%d", journal),
		"-E", "assume_storage_prezeroed=1,nodiscard,root_owner=0:0",
		f.Name())
	if err != nil {
		return err
	}
	return f.Sync()
}

// reachOf is what a program of e2fsprogs needs for one disk.
func reachOf(disk string) confine.Rules {
	r := confine.System()
	r.Read = append(r.Read, "/etc/mke2fs.conf", "/etc/e2fsck.conf")
	r.Write = append(r.Write, disk)
	return r
}

// run runs a program of e2fsprogs or util-linux, which reaches nothing else, and
// inherits a file if that is not nil.
func run(ctx context.Context, reach confine.Rules, inherited *os.File, name string, args ...string) error {
	path, err := findProgram(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	if inherited != nil {
		cmd.ExtraFiles = []*os.File{inherited}
	}
	out := &process.Head{Limit: maxSaid}
	cmd.Stdout, cmd.Stderr = out, out
	reach.Programs = append(reach.Programs, path)
	err = confine.Do(reach, cmd.Run)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := strings.TrimSpace(string(out.Bytes()))
	if strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, "No space left") {
		return fmt.Errorf("%s: %w", name, syscall.ENOSPC)
	}
	return fmt.Errorf("%s: %w: %.1000s", name, err, text)
}

// findProgram looks in PATH and in the directories of system programs, which the
// PATH of an ordinary user lacks.
func findProgram(name string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", banger.Errorf(banger.CodeMissing, "cannot find %s", name).
		WithHint("apt-get install e2fsprogs util-linux")
}
