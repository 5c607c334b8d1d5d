// Package image holds the rules about images: how a recipe becomes one, where
// its files lie, and when it may go. An image is a directory named by the digest of
// its content:
//
//	manifest.json   what is in it
//	root.ext4       the root file system, read-only, shared by VMs
//	vmlinuz         the kernel
//	modules/RELEASE the kernel's modules and their indexes, for the initrd
//	packages.txt    name, version and architecture of each Debian package
//
// It appears under its name complete or not at all, and never changes.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/keylock"
	"banger/internal/paths"
	"banger/internal/records"
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
	Paths   paths.Paths
	Log     *slog.Logger
}

// Service implements banger.ImageService. One process at a time may have one for
// an installation.
type Service struct {
	Config
	need  space
	users users

	mu      sync.Mutex            // guards the making of build directories against their removal
	recipes keylock.Locks[string] // by digest: each is held while a recipe is built or its image deleted
}

// New returns a service. Recover is to be called before it is used.
func New(c Config) *Service {
	return &Service{Config: c, need: usualSpace(), users: users{c.Paths}}
}

// Recover puts right what the death of an earlier process left: it removes
// builds that nobody finishes, and records images that were finished but not
// recorded, without a name.
func (s *Service) Recover(ctx context.Context) error {
	if err := s.sweep(ctx); err != nil {
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
	manifests, err := s.manifests()
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
	image, err := records.Resolve("image", ref, images)
	if e, ok := errors.AsType[*banger.Error](err); ok && e.Code == banger.CodeNotFound && ref == banger.DefaultImageName {
		return image, e.WithHint("build it with: banger image build")
	}
	return image, err
}

// DeleteImage implements banger.ImageService. The record goes first, since the
// store knows whether a VM of this installation needs it; files without a record are
// found again.
func (s *Service) DeleteImage(ctx context.Context, ref string) error {
	image, err := s.GetImage(ctx, ref)
	if err != nil {
		return err
	}
	unlock, err := s.recipes.Lock(ctx, image.RecipeDigest)
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
	return errors.Join(s.removeImage(context.WithoutCancel(ctx), image.ID), s.users.forget(image.ID))
}

// Use notes that the VM whose files lie in dir, which exists, boots from an image, so that
// no installation deletes that before the directory is gone. It fails with CodeCorrupt if
// somebody just did. To note it again does no harm.
func (s *Service) Use(id banger.ImageID, dir string) error { return s.users.add(id, dir) }

// Files are the parts of an image that a VM boots from, all absolute paths.
type Files struct {
	ID banger.ImageID
	// Roots are raw ext4s, never written, that overlayfs stacks: the lowest first, at
	// least one.
	Roots   []string
	Kernel  string
	Modules string // the directory that holds modules.dep, named by the kernel's release
}

// Files returns the files of an image. It fails with CodeCorrupt, naming the
// image and the file, if one is gone or has not the size it was made with.
func (s *Service) Files(ctx context.Context, id banger.ImageID) (Files, error) {
	m, err := s.manifest(id)
	if err != nil {
		return Files{}, s.corrupt(ctx, id, err)
	}
	dir := s.Paths.Image(id)
	if err := m.checkFiles(dir); err != nil {
		return Files{}, s.corrupt(ctx, id, err)
	}
	return Files{ID: id, Roots: []string{filepath.Join(dir, rootName)}, Kernel: filepath.Join(dir, kernelName), Modules: m.modulesDir(dir)}, nil
}

// corrupt says what is wrong with an image, and how to make it again.
func (s *Service) corrupt(ctx context.Context, id banger.ImageID, cause error) error {
	image, err := s.GetImage(ctx, string(id))
	if err != nil {
		return errors.Join(err, cause)
	}
	return banger.Errorf(banger.CodeCorrupt, "cannot use image %s (%s): %w", image.Name, id, cause).
		WithHint("build it again with: banger image build%s", buildArguments(image))
}

// manifest reads the manifest of one image.
func (s *Service) manifest(id banger.ImageID) (manifest, error) {
	return readManifest(s.Paths.Image(id), id)
}

// manifests returns those of all images that have a sound one.
func (s *Service) manifests() (map[banger.ImageID]manifest, error) {
	entries, err := os.ReadDir(s.Paths.Images())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", err)
	}
	found := map[banger.ImageID]manifest{}
	for _, e := range entries {
		if !banger.ValidID(e.Name()) {
			continue
		}
		id := banger.ImageID(e.Name())
		m, err := s.manifest(id)
		if err != nil {
			s.Log.Warn("cannot read image", "image", id, "error", err)
			continue
		}
		found[id] = m
	}
	return found, nil
}
