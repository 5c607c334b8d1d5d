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
	// PutImage stores or replaces the record of an image and takes its name from
	// any other.
	PutImage(ctx context.Context, i banger.Image) (banger.Image, error)
	ListImages(ctx context.Context) ([]banger.Image, error) // oldest first
	// DeleteImage fails with CodeInUse, naming the VMs, while one refers to it.
	DeleteImage(ctx context.Context, id banger.ImageID) error
}
