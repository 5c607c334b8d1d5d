package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/paths"
)

// usersPart is the directory beside that of the images which says which VMs boot from
// them: its directory IMAGE has a link to the directory of each. Installations may share their
// images (XDG_DATA_HOME) and not their stores, so no store knows them all. A link whose
// VM is gone says nothing.
const usersPart = "image-users"

// users are the VMs that boot from the images of an installation.
type users struct{ paths paths.Paths }

// add is Service.Use.
func (u users) add(id banger.ImageID, dir string) error {
	lock, err := u.lock(unix.LOCK_SH)
	if err != nil {
		return fmt.Errorf("cannot use image %s: %w", id, err)
	}
	defer lock.Close()
	link := filepath.Join(u.paths.Data, usersPart, string(id), filepath.Base(dir))
	if was, err := os.Readlink(link); err == nil && was == dir {
		return nil
	}
	err = os.MkdirAll(filepath.Dir(link), 0o700)
	if err == nil {
		err = os.Remove(link) // of an installation that was moved
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Symlink(dir, link)
	}
	if err != nil {
		return fmt.Errorf("cannot use image %s: %w", id, err)
	}
	if _, err := os.Stat(u.paths.Image(id)); err != nil {
		return banger.Errorf(banger.CodeCorrupt, "cannot use image %s: its files are gone: %w", id, err)
	}
	return nil
}

// checkUnused fails with CodeInUse if a VM of another installation boots from an image.
// Those of this one are the store's to know. The caller holds the lock of the users.
func (u users) checkUnused(image banger.Image) error {
	dir := filepath.Join(u.paths.Data, usersPart, string(image.ID))
	links, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, l := range links {
		vm, err := os.Readlink(filepath.Join(dir, l.Name()))
		if err != nil || filepath.Dir(vm) == u.paths.VMs() {
			continue
		}
		if _, err := os.Lstat(vm); !errors.Is(err, fs.ErrNotExist) {
			return banger.Errorf(banger.CodeInUse, "cannot delete image %s: a VM of another installation uses it, in %s", image.Name, vm).
				WithHint("delete that VM first, with the XDG_STATE_HOME of its installation")
		}
	}
	return nil
}

// forget removes what is noted of the VMs of an image that is gone.
func (u users) forget(id banger.ImageID) error {
	return os.RemoveAll(filepath.Join(u.paths.Data, usersPart, string(id)))
}

// lock locks the users of all images; flock(2), of a file that is open for writing,
// as NFS wants it. Nobody holds the lock for long.
func (u users) lock(how int) (*os.File, error) {
	dir := filepath.Join(u.paths.Data, usersPart)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return lockFile(filepath.Join(dir, "lock"), how)
}
