package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"banger"
	"banger/internal/files"
	"banger/internal/imagename"
	"banger/internal/keylock"
	"banger/internal/vmlinux"
)

// builds makes images of recipes.
type builds struct {
	builder RootBuilder
	fs      FileSystems
	store   Store
	shelf   *shelf
	making  *keylock.Locks[string] // by recipe
	need    space
	log     *slog.Logger
}

// BuildImage implements banger.ImageService.
func (s *Service) BuildImage(ctx context.Context, name string, r banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	return s.builds.build(ctx, name, r, progress)
}

// build is Service.BuildImage.
func (s *builds) build(ctx context.Context, name string, r banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	if err := imagename.Validate(name); err != nil {
		return banger.Image{}, err
	}
	if !imagename.Plain(name) {
		return banger.Image{}, banger.Errorf(banger.CodeInvalid, "cannot build image %q: the name of an image that is built here has no /, : or @", name)
	}
	r = normalise(r)
	digest, err := recipeDigest(r)
	if err != nil {
		return banger.Image{}, err
	}
	track := newTracker(progress)
	track.enter("preparing", "", 0)
	unlock, err := s.making.Lock(ctx, digest)
	if err != nil {
		return banger.Image{}, err
	}
	defer unlock()
	detail := "the image of this recipe is there already"
	image, found, err := s.existing(digest)
	if err == nil && !found {
		detail = "built"
		image, err = s.make(ctx, r, digest, track)
	}
	if err != nil {
		return banger.Image{}, err
	}
	image.Name = name
	if image, err = s.store.PutImage(ctx, image); err != nil {
		return banger.Image{}, err
	}
	track.enter("done", detail, 100)
	return image, nil
}

// existing returns the newest sound image of a recipe.
func (s *builds) existing(digest string) (image banger.Image, found bool, err error) {
	manifests, err := s.shelf.manifests()
	if err != nil {
		return image, false, err
	}
	for id, m := range manifests {
		if m.Content.RecipeDigest != digest || found && m.CreatedAt.Before(image.CreatedAt) {
			continue
		}
		dir := s.shelf.paths.Image(id)
		if err := errors.Join(m.checkFiles(dir), m.checkModules(dir)); err != nil {
			s.log.Warn("image is not sound", "image", id, "error", err)
			continue
		}
		image, found = m.image(id), true
	}
	return image, found, nil
}

// make makes the image of a recipe and leaves nothing else behind. The caller
// holds the recipe's lock.
func (s *builds) make(ctx context.Context, r banger.ImageRecipe, digest string, track *tracker) (_ banger.Image, err error) {
	if err := s.shelf.sweep(ctx); err != nil {
		return banger.Image{}, err
	}
	defer func() { err = s.need.explain(s.shelf.paths.Images(), err) }()
	folder, err := s.shelf.newFolder()
	if err != nil {
		return banger.Image{}, fmt.Errorf("cannot build image: %w", err)
	}
	defer func() {
		if err := folder.remove(ctx); err != nil {
			s.log.Warn("cannot clean up after a build; the next one tries again", "directory", folder.Path, "error", err)
		}
	}()
	if err := s.need.check(s.shelf.paths.Images()); err != nil {
		return banger.Image{}, err
	}
	if err := folder.makeScratch(); err != nil {
		return banger.Image{}, fmt.Errorf("cannot build image: %w", err)
	}
	system, err := s.makeSystem(ctx, complete(r), folder, track)
	if err != nil {
		return banger.Image{}, err
	}
	track.enter("checking and storing the image", "", builderPercent)
	if err := unpackKernel(folder.Content()); err != nil && !errors.Is(err, vmlinux.ErrUnknown) {
		return banger.Image{}, fmt.Errorf("cannot store image: cannot unpack its kernel: %w", err)
	}
	m, err := seal(folder.Content(), r, digest, system)
	if err != nil {
		return banger.Image{}, fmt.Errorf("cannot store image: %w", err)
	}
	id, err := m.Content.id()
	if err != nil {
		return banger.Image{}, err
	}
	if err := ctx.Err(); err != nil {
		return banger.Image{}, context.Cause(ctx)
	}
	if err := folder.Publish(string(id)); err != nil {
		return banger.Image{}, fmt.Errorf("cannot store image: %w", err)
	}
	return m.image(id), nil
}

// errOtherPart ends one part of makeSystem because another one failed.
var errOtherPart = errors.New("another part of the build failed")

// makeSystem has the builder make a system and, from the one stream that it
// writes, makes the root file system and picks out the other files.
func (s *builds) makeSystem(ctx context.Context, r banger.ImageRecipe, folder *buildFolder, track *tracker) (picked, error) {
	var system picked
	var built, converted, chosen error
	stream, builderEnd := io.Pipe()
	copied, copyEnd := io.Pipe()
	var parts sync.WaitGroup
	parts.Go(func() {
		built = s.builder.Build(ctx, r, folder.scratch, builderEnd, track.builder)
		builderEnd.CloseWithError(otherPart(built))
	})
	parts.Go(func() {
		tee := io.TeeReader(stream, copyEnd)
		converted = s.fs.FromTar(tee, filepath.Join(folder.Content(), rootName))
		stream.CloseWithError(errOtherPart)
		copyEnd.CloseWithError(otherPart(converted))
	})
	parts.Go(func() {
		system, chosen = pick(copied, folder.Content())
		copied.CloseWithError(errOtherPart)
	})
	parts.Wait()
	for _, err := range []error{built, converted, chosen} {
		if err != nil && !errors.Is(err, errOtherPart) {
			return system, err
		}
	}
	return system, nil
}

// otherPart returns what the reader of a pipe gets when its writer ends with err.
func otherPart(err error) error {
	if err != nil {
		return errOtherPart
	}
	return nil
}

// seal writes the manifest of the files in dir.
func seal(dir string, r banger.ImageRecipe, digest string, system picked) (manifest, error) {
	m := manifest{CreatedAt: time.Now().UTC(), Content: content{
		Format: manifestFormat, Recipe: r, RecipeDigest: digest,
		KernelRelease: system.kernel.Release, Packages: system.packages, Files: map[string]fileFacts{},
	}}
	for _, name := range []string{rootName, kernelName, packagesName} {
		facts, err := files.Measure(filepath.Join(dir, name))
		if err != nil {
			return m, err
		}
		m.Content.Files[name] = facts
	}
	var err error
	if m.Content.Modules, err = files.MeasureTree(filepath.Join(dir, modulesName)); err != nil {
		return m, err
	}
	return m, m.write(dir)
}
