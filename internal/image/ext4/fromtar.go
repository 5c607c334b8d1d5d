// Package ext4 makes ext4 file systems in files, as an ordinary user, without
// mounts or loop devices.
package ext4

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
)

// maxImageBytes is what a file system from a tar may grow to. What it costs is
// one block of descriptors per 16 GiB.
const maxImageBytes = 256 << 30

// FromTar makes a new file at path with a file system of what the tar stream r
// holds: owners, modes, times, hard links, devices and extended attributes
// (PAX records SCHILY.xattr.*, star(5)). The file system has no journal and no
// free space and is marked read-only; equal streams make equal files. The
// stream is read to its very end. The file is not yet durable.
func FromTar(r io.Reader, path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot create file system: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := tar2ext4.ConvertTarToExt4(r, f, tar2ext4.MaximumDiskSize(maxImageBytes)); err != nil {
		return fmt.Errorf("cannot make file system from tar: %w", err)
	}
	// Blocks after the end-of-archive marker are padding; whoever writes them
	// must not find the pipe closed.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("cannot read tar to its end: %w", err)
	}
	return nil
}
