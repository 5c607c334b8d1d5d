package store

import (
	"context"
	"encoding/json"
	"slices"
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
		if err := t.takeNames(i); err != nil {
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
			i = named(i, before[0].Names())
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

// takeNames removes the names of i from the images that have them.
func (t imageTx) takeNames(i banger.Image) error {
	others, err := t.find("WHERE id <> ? ORDER BY seq", string(i.ID))
	if err != nil {
		return err
	}
	taken := i.Names()
	for _, other := range others {
		names := other.Names()
		left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(taken, n) })
		if len(left) == len(names) {
			continue
		}
		other.Name, other.Tags = "", nil
		if _, err := t.put(banger.EventImageChanged, named(other, left)); err != nil {
			return err
		}
	}
	return nil
}

// named returns an image with further names.
func named(i banger.Image, further []string) banger.Image {
	i.Tags = slices.Clone(i.Tags)
	for _, n := range further {
		switch {
		case i.Name == "":
			i.Name = n
		case n != i.Name && !slices.Contains(i.Tags, n):
			i.Tags = append(i.Tags, n)
		}
	}
	return i
}

// RemoveImageName implements image.Store.
func (s *Images) RemoveImageName(ctx context.Context, id banger.ImageID, name string) (image banger.Image, err error) {
	err = s.writer.writeAnyway(ctx, "remove name of image "+string(id), func(begun *tx) error {
		t := imageTx{begun}
		images, err := t.find("WHERE id = ?", string(id))
		if image, err = one(images, err, "image", string(id)); err != nil {
			return err
		}
		names := image.Names()
		left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
		if len(left) == len(names) {
			return nil
		}
		image.Name, image.Tags = "", nil
		image, err = t.put(banger.EventImageChanged, named(image, left))
		return err
	})
	return result(image, err)
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

// ListUnusedImages implements image.Store.
func (s *Images) ListUnusedImages(ctx context.Context) ([]banger.Image, error) {
	return read(ctx, s.reader, decode[banger.Image],
		"SELECT record FROM images WHERE id NOT IN (SELECT image_id FROM vms WHERE image_id IS NOT NULL) ORDER BY seq")
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
