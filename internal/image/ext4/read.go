package ext4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/ext4fs"
)

// ReadDisk calls f with the file system in a file, which nobody else may use until
// f returns: a disk that QEMU has open is CodeInUse. A journal that a crash has left
// is read too, and left to be replayed by the guest's kernel. When ctx ends, so do all reads.
func ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("cannot read disk: %w", err)
	}
	defer file.Close()
	if err := lockDisk(file); err != nil {
		return err
	}
	fsys, err := openDisk(ctx, file)
	if err != nil {
		return fmt.Errorf("cannot read disk %s: %w", path, err)
	}
	if err := f(fsys); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// ReadImage calls f with the file system in a file that nobody changes.
func ReadImage(ctx context.Context, path string, f func(fs.FS) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read image: %w", err)
	}
	defer file.Close()
	fsys, err := ext4fs.Open(heeding{ctx, &pages{image: file}})
	if err != nil {
		return fmt.Errorf("cannot read image %s: %w", path, err)
	}
	return f(fsys)
}

// openDisk returns the file system in a file. e2fsck replays a journal that this process
// cannot read.
func openDisk(ctx context.Context, file *os.File) (*ext4fs.FS, error) {
	fsys, err := ext4fs.OpenReplayed(heeding{ctx, &pages{image: file}})
	if !errors.Is(err, ext4fs.ErrJournal) || ctx.Err() != nil {
		return fsys, err
	}
	if err := replay(ctx, file); err != nil {
		return nil, err
	}
	return ext4fs.Open(heeding{ctx, &pages{image: file}})
}

// The bytes of an image by whose locks QEMU's processes know of one another;
// RAW_LOCK_PERM_BASE and RAW_LOCK_SHARED_BASE of its block/file-posix.c.
const (
	qemuLocksBegin = 100
	qemuLocksBytes = 200
)

// lockDisk locks a disk against QEMU until the file is closed, in every process that
// has it by then.
func lockDisk(file *os.File) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: qemuLocksBegin, Len: qemuLocksBytes}
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return banger.Errorf(banger.CodeInUse, "cannot read disk %s: another process has it", file.Name())
	}
	if err != nil {
		return fmt.Errorf("cannot lock disk %s: %w", file.Name(), err)
	}
	return nil
}

// heeding is an image that is read no more when a context has ended.
type heeding struct {
	ctx   context.Context //nolint:containedctx // io.ReaderAt has none
	image io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (h heeding) ReadAt(p []byte, off int64) (int, error) {
	if h.ctx.Err() != nil {
		return 0, context.Cause(h.ctx)
	}
	return h.image.ReadAt(p, off)
}

// replayMemory bounds what e2fsck may use. A disk of the largest size needs some MiB.
const replayMemory = 512 << 20

// replay has e2fsck write what is in the journal to where it belongs. It holds the
// disk's lock for as long as it lives. The journal is a guest's, so e2fsck is kept from
// writing behind the end of the disk, to which the journal may lead it, and from looking
// among the host's devices for a journal that lies elsewhere (-j), and it reaches no file
// but the disk.
func replay(ctx context.Context, disk *os.File) error {
	info, err := disk.Stat()
	if err != nil {
		return err
	}
	e2fsck, err := findProgram("e2fsck")
	if err != nil {
		return err
	}
	reach := reachOf(disk.Name())
	reach.Programs = append(reach.Programs, e2fsck)
	err = run(ctx, reach, disk, "prlimit", fmt.Sprintf("--fsize=%d", info.Size()), fmt.Sprintf("--as=%d", replayMemory), "--core=0",
		e2fsck, "-p", "-j", os.DevNull, "-E", "journal_only", disk.Name())
	const repaired = 1 // e2fsck(8), exit code
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == repaired {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot replay its journal: %w", err)
	}
	return nil
}
