package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"banger"
)

// usersPart is the directory beside that of the images which says which VMs boot from
// them: its directory IMAGE has a link to the directory of each. Installations may share their
// images (XDG_DATA_HOME) and not their stores, so no store knows them all. A link whose
// VM is gone says nothing.
const usersPart = "image-users"

// Use notes that the VM whose files lie in dir, which exists, boots from an image, so that
// no installation deletes that before the directory is gone. It fails with CodeCorrupt if
// somebody just did. To note it again does no harm.
func (s *Service) Use(id banger.ImageID, dir string) error {
	lock, err := s.lockUsers(unix.LOCK_SH)
	if err != nil {
		return fmt.Errorf("cannot use image %s: %w", id, err)
	}
	defer lock.Close()
	link := filepath.Join(s.Paths.Data, usersPart, string(id), filepath.Base(dir))
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
	if _, err := os.Stat(s.Paths.Image(id)); err != nil {
		return banger.Errorf(banger.CodeCorrupt, "cannot use image %s: its files are gone: %w", id, err)
	}
	return nil
}

// checkUnused fails with CodeInUse if a VM of another installation boots from an image.
// Those of this one are the store's to know. The caller holds the lock of the users.
func (s *Service) checkUnused(image banger.Image) error {
	users := filepath.Join(s.Paths.Data, usersPart, string(image.ID))
	links, err := os.ReadDir(users)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, l := range links {
		dir, err := os.Readlink(filepath.Join(users, l.Name()))
		if err != nil || filepath.Dir(dir) == s.Paths.VMs() {
			continue
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return banger.Errorf(banger.CodeInUse, "cannot delete image %s: a VM of another installation uses it, in %s", image.Name, dir).
				WithHint("delete that VM first, with the XDG_STATE_HOME of its installation")
		}
	}
	return nil
}

// forgetUsers removes what is noted of the VMs of an image that is gone.
func (s *Service) forgetUsers(id banger.ImageID) error {
	return os.RemoveAll(filepath.Join(s.Paths.Data, usersPart, string(id)))
}

// lockUsers locks the users of all images; flock(2), of a file that is open for writing,
// as NFS wants it. Nobody holds the lock for long.
func (s *Service) lockUsers(how int) (*os.File, error) {
	dir := filepath.Join(s.Paths.Data, usersPart)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}
