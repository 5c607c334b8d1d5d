package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/vmlinux"
)

// The kernel of an image as machines boot it: what vmlinuz unpacks. It is made of that, so
// the manifest does not have it; an image of an older banger gets it when it is first used.
const vmlinuxName = "vmlinux"

// unpackKernel makes vmlinux in the directory of an image, which nobody else does meanwhile.
func unpackKernel(dir string) error {
	return vmlinux.UnpackFile(filepath.Join(dir, kernelName), filepath.Join(dir, vmlinuxName))
}

// kernel returns the file that machines of an image boot: vmlinux, which is made if it is not
// there, else vmlinuz, which boots more slowly.
func (s *Service) kernel(id banger.ImageID) string {
	dir := s.Paths.Image(id)
	vmlinuz, path := filepath.Join(dir, kernelName), filepath.Join(dir, vmlinuxName)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	err := s.unpackOnce(dir)
	switch {
	case err == nil:
		return path
	case errors.Is(err, vmlinux.ErrUnknown):
		s.Log.Debug("a kernel boots as it is", "image", id, "cause", err)
	default:
		s.Log.Warn("cannot unpack a kernel; it boots more slowly", "image", id, "error", err)
	}
	return vmlinuz
}

// unpackOnce is unpackKernel for an image that others may use, of other installations, too.
func (s *Service) unpackOnce(dir string) error {
	lock, err := s.users.lock(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(filepath.Join(dir, vmlinuxName)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := unpackKernel(dir); err != nil {
		return fmt.Errorf("cannot unpack kernel: %w", err)
	}
	return nil
}
