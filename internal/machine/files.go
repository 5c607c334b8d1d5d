package machine

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"banger"
)

// filesTimeout bounds how long the files of a VM that does not run are read: while that
// lasts, it cannot be started.
const filesTimeout = time.Hour

// ReadFiles calls f with the files of a VM that does not run, as its guest would see them, and
// which is not started meanwhile. unclean says that its disks have a journal that was not
// replayed, as after a crash: what is in that is read, too. A VM that runs is CodeState. f must
// end with its context.
func (s *DiskReader) ReadFiles(ctx context.Context, id banger.VMID, f func(ctx context.Context, files fs.FS, unclean bool) error) error {
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
	defer cancel()
	return s.whileStopped(ctx, id, func(vm banger.VM) error {
		image, err := s.images.Files(ctx, vm.ImageID)
		if err != nil {
			return err
		}
		dir := s.disks.homes.dir(id)
		return s.readImages(ctx, image.Roots, nil, func(images []fs.FS) error {
			return s.disks.disks.ReadDisk(ctx, filepath.Join(dir, systemDiskName), func(system fs.FS) error {
				return s.disks.disks.ReadDisk(ctx, filepath.Join(dir, workDiskName), func(work fs.FS) error {
					tree, err := newGuestTree(images, system, work)
					if err != nil {
						return err
					}
					return f(ctx, tree, unclean(system) || unclean(work))
				})
			})
		})
	})
}

// readImages opens all file systems of an image, and calls f with them, the uppermost first.
func (s *DiskReader) readImages(ctx context.Context, paths []string, opened []fs.FS, f func([]fs.FS) error) error {
	if len(paths) == 0 {
		return f(opened)
	}
	return s.disks.disks.ReadImage(ctx, paths[0], func(image fs.FS) error {
		return s.readImages(ctx, paths[1:], slices.Insert(opened, 0, image), f)
	})
}

// unclean reports whether a disk has a journal that was not replayed.
func unclean(disk fs.FS) bool {
	d, ok := disk.(interface{ Replayed() bool })
	return ok && d.Replayed()
}
