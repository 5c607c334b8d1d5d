package store

import (
	"context"
	"encoding/json"
	"strings"

	"banger"
)

// Images are the records of images; they implement image.Store.
type Images struct {
	reader *reader
	writer *writer
}

// PutImage implements image.Store.
func (s *Images) PutImage(ctx context.Context, i banger.Image) (image banger.Image, err error) {
	err = s.writer.write(ctx, "store image "+i.Name, func(begun *tx) error {
		t := imageTx{begun}
		if err := t.takeName(i); err != nil {
			return err
		}
		before, err := t.find("WHERE id = ?", string(i.ID))
		if err != nil {
			return err
		}
		kind := banger.EventImageCreated
		if len(before) > 0 {
			kind = banger.EventImageChanged
			image, i.Revision = before[0], before[0].Revision
			if differs, err := changed(image, i); err != nil || !differs {
				return err
			}
		}
		image, err = t.put(kind, i)
		return err
	})
	return result(image, err)
}

// imageTx is a change of images.
type imageTx struct{ *tx }

// takeName removes the name of i from the image that has it.
func (t imageTx) takeName(i banger.Image) error {
	holders, err := t.find("WHERE name = ? AND id <> ?", i.Name, string(i.ID))
	if err != nil {
		return err
	}
	for _, holder := range holders {
		holder.Name = ""
		if _, err := t.put(banger.EventImageChanged, holder); err != nil {
			return err
		}
	}
	return nil
}

// put stores a record that has changed and returns it as a reader will see it.
func (t imageTx) put(kind banger.EventKind, i banger.Image) (banger.Image, error) {
	i.Revision = t.next()
	record, err := json.Marshal(i)
	if err != nil {
		return i, err
	}
	if err := t.exec(`INSERT INTO images (id, name, record) VALUES (?1, nullif(?2, ''), ?3)
		ON CONFLICT (id) DO UPDATE SET name = nullif(?2, ''), record = ?3`, string(i.ID), i.Name, string(record)); err != nil {
		return i, err
	}
	if err := vmTx(t).claimImage(i.ID); err != nil {
		return i, err
	}
	if err := t.emit(kind, record); err != nil {
		return i, err
	}
	return decode[banger.Image](record)
}

// ListImages implements image.Store.
func (s *Images) ListImages(ctx context.Context) ([]banger.Image, error) {
	return read(ctx, s.reader, decode[banger.Image], "SELECT record FROM images ORDER BY seq")
}

// DeleteImage implements image.Store.
func (s *Images) DeleteImage(ctx context.Context, id banger.ImageID) error {
	return s.writer.writeAnyway(ctx, "delete image "+string(id), func(begun *tx) error {
		t := imageTx{begun}
		images, err := t.find("WHERE id = ?", string(id))
		image, err := one(images, err, "image", string(id))
		if err != nil {
			return err
		}
		vms, err := collect(t.ctx, t, decodeVM, "SELECT record FROM vms WHERE image_id = ? ORDER BY seq", string(id))
		if err != nil {
			return err
		}
		if len(vms) > 0 {
			return imageInUse(image, vms)
		}
		if err := t.exec("DELETE FROM images WHERE id = ?", string(id)); err != nil {
			return err
		}
		image.Revision = t.next()
		return t.emitRecord(banger.EventImageDeleted, image)
	})
}

func imageInUse(image banger.Image, vms []banger.VM) error {
	names := make([]string, len(vms))
	for i, vm := range vms {
		names[i] = vm.Name
	}
	name := image.Name
	if name == "" {
		name = string(image.ID)
	}
	return banger.Errorf(banger.CodeInUse, "cannot delete image %s: it is used by VM %s", name, strings.Join(names, ", ")).
		WithHint("delete them first: banger vm delete NAME")
}

func (t imageTx) find(where string, args ...any) ([]banger.Image, error) {
	return collect(t.ctx, t, decode[banger.Image], "SELECT record FROM images "+where, args...)
}

// checkExists refuses the id of an image that is not there; a VM may have none.
func (t imageTx) checkExists(id banger.ImageID) error {
	if id == "" {
		return nil
	}
	found, err := t.exists("SELECT 1 FROM images WHERE id = ?", string(id))
	if err == nil && !found {
		err = banger.Errorf(banger.CodeNotFound, "cannot find image %s: no such image", id)
	}
	return err
}
