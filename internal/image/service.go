// Package image holds the rules about images: how a recipe becomes one, how one is taken
// from a registry or an archive, where its files lie, and when it may go. An image is a
// directory named by the digest of its content. One that was built here has
//
//	manifest.json   what is in it
//	root.ext4       the root file system, read-only, shared by VMs
//	vmlinuz         the kernel
//	vmlinux         the same as machines boot it, unpacked; made of vmlinuz
//	modules/RELEASE the kernel's modules and their indexes, for the initrd
//	packages.txt    name, version and architecture of each Debian package
//
// One from elsewhere has a manifest only: its layers are file systems in another directory,
// each named by its ChainID, which all images that begin with the same layers share. They are
// removed when no image has them.
//
// An image appears under its name complete or not at all, and never changes, but for vmlinux,
// which an older banger did not make.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/imagename"
	"banger/internal/keylock"
	"banger/internal/paths"
	"banger/internal/staging"
)

// RootBuilder makes root file systems; mmdebstrap.Builder does.
type RootBuilder interface {
	// Build writes a system with exactly the packages of r.Include, beside
	// Debian's minimum and what they depend on, to stream as a tar. Its temporary
	// files lie in scratch. When it returns nothing of it is left running. Progress
	// is called by one goroutine at a time; done is the part of its work, 0 to 1.
	Build(ctx context.Context, r banger.ImageRecipe, scratch string, stream io.Writer, progress func(stage string, done float64)) error
	// RemoveScratch removes a scratch directory, also that of a build that was killed.
	RemoveScratch(ctx context.Context, scratch string) error
}

// FileSystems makes file systems; internal/image/ext4 does.
type FileSystems interface {
	// FromTar makes a new file at path with a read-only file system of what the
	// tar stream r holds, which it reads to its end. Equal streams make equal files.
	FromTar(r io.Reader, path string) error
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store   Store
	Builder RootBuilder
	FS      FileSystems
	Sources Sources
	Stacks  Stacks // in the directory Paths.Layers
	Paths   paths.Paths
	Log     *slog.Logger
}

// Service implements banger.ImageService. One process at a time may have one for
// an installation.
type Service struct {
	Config
	users  users
	shelf  *shelf
	builds *builds
	pulls  *pulls
	making *keylock.Locks[string] // by key: each is held while an image is made, named or deleted
}

// New returns a service. Recover is to be called before it is used.
func New(c Config) *Service {
	making := &keylock.Locks[string]{}
	s := &shelf{paths: c.Paths, area: &staging.Area{Path: c.Paths.Images(), Prefix: buildPrefix, Part: imagePart}, layers: layerFiles{c.Paths}, log: c.Log}
	if c.Builder != nil { // else nothing is built
		s.removeScratch = c.Builder.RemoveScratch
	}
	return &Service{
		Config: c, users: users{c.Paths}, shelf: s, making: making,
		builds: &builds{builder: c.Builder, fs: c.FS, store: c.Store, shelf: s, making: making, need: usualSpace(), log: c.Log},
		pulls:  &pulls{stacks: c.Stacks, store: c.Store, shelf: s, making: making},
	}
}

// Recover puts right what the death of an earlier process left: it removes
// builds and, after a day, pulls that nobody finishes, and records images that were finished
// but not recorded, without a name.
func (s *Service) Recover(ctx context.Context) error {
	if err := s.shelf.sweep(ctx); err != nil {
		return err
	}
	known, err := s.Store.ListImages(ctx)
	if err != nil {
		return err
	}
	recorded := map[banger.ImageID]bool{}
	for _, i := range known {
		recorded[i.ID] = true
	}
	manifests, err := s.shelf.manifests()
	if err != nil {
		return err
	}
	for id, m := range manifests {
		if recorded[id] {
			continue
		}
		if _, err := s.Store.PutImage(ctx, m.image(id)); err != nil {
			return err
		}
		s.Log.Info("found an image without a record", "image", id)
	}
	s.shelf.collect(ctx, keepUnfinished)
	return nil
}

// ListImages implements banger.ImageService.
func (s *Service) ListImages(ctx context.Context) ([]banger.Image, error) {
	return s.Store.ListImages(ctx)
}

// GetImage implements banger.ImageService.
func (s *Service) GetImage(ctx context.Context, ref string) (banger.Image, error) {
	images, err := s.Store.ListImages(ctx)
	if err != nil {
		return banger.Image{}, err
	}
	image, err := imagename.Find(ref, images)
	if e, ok := errors.AsType[*banger.Error](err); ok && e.Code == banger.CodeNotFound && ref == banger.DefaultImageName {
		return image, e.WithHint("build it with: banger image build")
	}
	return image, err
}

// TagImage implements banger.ImageService.
func (s *Service) TagImage(ctx context.Context, ref string, r banger.TagRequest) (banger.Image, error) {
	if err := imagename.Validate(r.Name); err != nil {
		return banger.Image{}, err
	}
	image, err := s.GetImage(ctx, ref)
	if err != nil {
		return banger.Image{}, err
	}
	unlock, err := s.making.Lock(ctx, key(image))
	if err != nil {
		return banger.Image{}, err
	}
	defer unlock()
	if image, err = s.GetImage(ctx, string(image.ID)); err != nil {
		return banger.Image{}, err
	}
	if image.Name == "" {
		image.Name = r.Name
	} else if !slices.Contains(image.Names(), r.Name) {
		image.Tags = append(image.Tags, r.Name)
	}
	return s.Store.PutImage(ctx, image)
}

// key is what is locked while an image is made, named or deleted.
func key(i banger.Image) string {
	if i.OCI != nil {
		return string(i.ID)
	}
	return i.RecipeDigest
}

// DeleteImage implements banger.ImageService. The record goes first, since the
// store knows whether a VM of this installation needs it; files without a record are
// found again.
func (s *Service) DeleteImage(ctx context.Context, ref string) error {
	image, err := s.GetImage(ctx, ref)
	if err != nil {
		return err
	}
	if name, ok := oneOfSeveral(ref, image); ok {
		_, err := s.Store.RemoveImageName(ctx, image.ID, name)
		return err
	}
	if err := s.delete(ctx, image); err != nil {
		return err
	}
	s.shelf.collect(context.WithoutCancel(ctx), 0)
	return nil
}

// oneOfSeveral returns the name that a ref is, if the image has others, too.
func oneOfSeveral(ref string, image banger.Image) (name string, ok bool) {
	names := image.Names()
	if len(names) < 2 {
		return "", false
	}
	short, err := imagename.Familiar(ref)
	for _, n := range names {
		if n == ref || err == nil && n == short {
			return n, true
		}
	}
	return "", false
}

// delete deletes an image, all but its layers.
func (s *Service) delete(ctx context.Context, image banger.Image) error {
	unlock, err := s.making.Lock(ctx, key(image))
	if err != nil {
		return err
	}
	defer unlock()
	lock, err := s.users.lock(unix.LOCK_EX)
	if err != nil {
		return fmt.Errorf("cannot delete image %s: %w", image.Name, err)
	}
	defer lock.Close()
	if err := s.users.checkUnused(image); err != nil {
		return err
	}
	if err := s.Store.DeleteImage(ctx, image.ID); err != nil {
		return err
	}
	return errors.Join(s.shelf.removeImage(context.WithoutCancel(ctx), image.ID), s.users.forget(image.ID))
}

// Use notes that the VM whose files lie in dir, which exists, boots from an image, so that
// no installation deletes that before the directory is gone. It fails with CodeCorrupt if
// somebody just did. To note it again does no harm.
func (s *Service) Use(id banger.ImageID, dir string) error { return s.users.add(id, dir) }

// corrupt says what is wrong with an image, and how to make it again.
func (s *Service) corrupt(ctx context.Context, id banger.ImageID, cause error) error {
	image, err := s.GetImage(ctx, string(id))
	if err != nil {
		return errors.Join(err, cause)
	}
	corrupt := banger.Errorf(banger.CodeCorrupt, "cannot use image %s (%s): %w", image.Name, id, cause)
	switch {
	case image.OCI == nil:
		return corrupt.WithHint("build it again with: banger image build%s", buildArguments(image))
	case filepath.IsAbs(image.OCI.Source):
		return corrupt.WithHint("import it again with: banger image import %s", image.OCI.Source)
	}
	return corrupt.WithHint("pull it again with: banger image pull %s", image.OCI.Source)
}
