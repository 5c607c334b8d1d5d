package image

import (
	"context"

	"banger"
)

// Store keeps the records of images; internal/store does.
//
// Every change is one transaction: the change, the check of its transition, its event. A
// committed change survives the death of the process and of the host. Safe for concurrent
// use.
//
// Update functions get the record as it is, change it in place and return; an error ends
// the transaction and is returned. They run inside the transaction: they must be quick and
// not use the store. The store sets UpdatedAt and Revision; an update that changes nothing
// else makes no event.
//
// A record that does not exist is CodeNotFound, a name that is taken CodeExists.
type Store interface {
	// PutImage stores or replaces the record of an image, which keeps the names that it has,
	// and takes the record's names from all others.
	PutImage(ctx context.Context, i banger.Image) (banger.Image, error)
	ListImages(ctx context.Context) ([]banger.Image, error)       // oldest first
	ListUnusedImages(ctx context.Context) ([]banger.Image, error) // those that no VM refers to, oldest first
	// RemoveImageName takes a name from an image, which may have none then.
	RemoveImageName(ctx context.Context, id banger.ImageID, name string) (banger.Image, error)
	// DeleteImage fails with CodeInUse, naming the VMs, while one refers to it.
	DeleteImage(ctx context.Context, id banger.ImageID) error
}
