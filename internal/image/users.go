package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"banger"
	"banger/internal/inuse"
	"banger/internal/paths"
)

// usersPart is the directory beside that of the images with the notes about who uses them.
const usersPart = "image-users"

// users are the VMs that boot from the images of an installation.
type users struct{ paths paths.Paths }

func (u users) notes() inuse.Notes { return inuse.Notes(filepath.Join(u.paths.Data, usersPart)) }

// add is Service.Use.
func (u users) add(id banger.ImageID, dir string) error {
	err := u.notes().Add(string(id), u.paths.Image(id), dir)
	if errors.Is(err, inuse.ErrGone) {
		return banger.Errorf(banger.CodeCorrupt, "cannot use image %s: %w", id, err)
	}
	if err != nil {
		return fmt.Errorf("cannot use image %s: %w", id, err)
	}
	return nil
}

// checkUnused fails with CodeInUse if a VM of another installation boots from an image.
// Those of this one are the store's to know. The caller holds the lock of the users.
func (u users) checkUnused(image banger.Image) error {
	vms, err := u.foreign(image.ID)
	if err != nil {
		return err
	}
	if len(vms) > 0 {
		return banger.Errorf(banger.CodeInUse, "cannot delete image %s: a VM of another installation uses it, in %s", image.Name, vms[0]).
			WithHint("delete that VM first, with the XDG_STATE_HOME of its installation")
	}
	return nil
}

// foreign returns the directories of the VMs of other installations that boot from an image.
func (u users) foreign(id banger.ImageID) ([]string, error) {
	vms, err := u.notes().Users(string(id))
	return slices.DeleteFunc(vms, func(vm string) bool { return filepath.Dir(vm) == u.paths.VMs() }), err
}

// forget removes what is noted of the VMs of an image that is gone.
func (u users) forget(id banger.ImageID) error { return u.notes().Forget(string(id)) }

// lock locks the users of all images.
func (u users) lock(how int) (*os.File, error) { return u.notes().Lock(how) }
