package vmlinux

import (
	"errors"
	"os"
	"path/filepath"

	"banger/internal/files"
)

// UnpackFile unpacks the kernel in one file into another, durably, or leaves that as it is. It
// fails with ErrUnknown if the kernel boots only as it is. Meanwhile it writes to a file beside
// the other, whose name has .new at its end; nobody else may do so.
func UnpackFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = Extract(out, in, info.Size())
	if err == nil {
		err = CheckPVH(out)
	}
	if err == nil {
		err = out.Sync()
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return files.SyncDir(filepath.Dir(to))
}
