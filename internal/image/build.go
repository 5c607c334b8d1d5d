package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"banger"
)

// BuildImage implements banger.ImageService.
func (s *Service) BuildImage(ctx context.Context, name string, r banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	if err := validateName(name); err != nil {
		return banger.Image{}, err
	}
	r = normalise(r)
	digest, err := recipeDigest(r)
	if err != nil {
		return banger.Image{}, err
	}
	track := newTracker(progress)
	track.enter("preparing", "", 0)
	unlock, err := s.recipes.Lock(ctx, digest)
	if err != nil {
		return banger.Image{}, err
	}
	defer unlock()
	detail := "the image of this recipe is there already"
	image, found, err := s.existing(digest)
	if err == nil && !found {
		detail = "built"
		image, err = s.build(ctx, r, digest, track)
	}
	if err != nil {
		return banger.Image{}, err
	}
	image.Name = name
	if image, err = s.Store.PutImage(ctx, image); err != nil {
		return banger.Image{}, err
	}
	track.enter("done", detail, 100)
	return image, nil
}

// existing returns the newest sound image of a recipe.
func (s *Service) existing(digest string) (image banger.Image, found bool, err error) {
	manifests, err := s.manifests()
	if err != nil {
		return image, false, err
	}
	for id, m := range manifests {
		if m.Content.RecipeDigest != digest || found && m.CreatedAt.Before(image.CreatedAt) {
			continue
		}
		dir := s.Paths.Image(id)
		if err := errors.Join(m.checkFiles(dir), m.checkModules(dir)); err != nil {
			s.Log.Warn("image is not sound", "image", id, "error", err)
			continue
		}
		image, found = m.image(id), true
	}
	return image, found, nil
}

// build makes the image of a recipe and leaves nothing else behind. The caller
// holds the recipe's lock.
func (s *Service) build(ctx context.Context, r banger.ImageRecipe, digest string, track *tracker) (_ banger.Image, err error) {
	if err := s.sweep(ctx); err != nil {
		return banger.Image{}, err
	}
	defer func() { err = s.need.explain(s.Paths.Images(), err) }()
	folder, err := s.newFolder()
	if err != nil {
		return banger.Image{}, fmt.Errorf("cannot build image: %w", err)
	}
	defer func() {
		if err := folder.remove(ctx); err != nil {
			s.Log.Warn("cannot clean up after a build; the next one tries again", "directory", folder.dir, "error", err)
		}
	}()
	if err := s.need.check(s.Paths.Images()); err != nil {
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
	m, err := seal(folder.image(), r, digest, system)
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
	if err := folder.publish(id); err != nil {
		return banger.Image{}, fmt.Errorf("cannot store image: %w", err)
	}
	return m.image(id), nil
}

// errOtherPart ends one part of makeSystem because another one failed.
var errOtherPart = errors.New("another part of the build failed")

// makeSystem has the builder make a system and, from the one stream that it
// writes, makes the root file system and picks out the other files.
func (s *Service) makeSystem(ctx context.Context, r banger.ImageRecipe, folder *buildFolder, track *tracker) (picked, error) {
	var system picked
	var built, converted, chosen error
	stream, builderEnd := io.Pipe()
	copied, copyEnd := io.Pipe()
	var parts sync.WaitGroup
	parts.Go(func() {
		built = s.Builder.Build(ctx, r, folder.scratch, builderEnd, track.builder)
		builderEnd.CloseWithError(otherPart(built))
	})
	parts.Go(func() {
		tee := io.TeeReader(stream, copyEnd)
		converted = s.FS.FromTar(tee, filepath.Join(folder.image(), rootName))
		stream.CloseWithError(errOtherPart)
		copyEnd.CloseWithError(otherPart(converted))
	})
	parts.Go(func() {
		system, chosen = pick(copied, folder.image())
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
		KernelRelease: system.release, Packages: system.packages, Files: map[string]fileFacts{},
	}}
	for _, name := range []string{rootName, kernelName, packagesName} {
		facts, err := measureFile(filepath.Join(dir, name))
		if err != nil {
			return m, err
		}
		m.Content.Files[name] = facts
	}
	var err error
	if m.Content.Modules, err = measureTree(filepath.Join(dir, modulesName)); err != nil {
		return m, err
	}
	return m, m.write(dir)
}
