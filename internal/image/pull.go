package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/imagename"
	"banger/internal/keylock"
)

// pulls makes images of what others have made.
type pulls struct {
	stacks Stacks
	store  Store
	shelf  *shelf
	making *keylock.Locks[string] // by image
}

// PullImage implements banger.ImageService.
func (s *Service) PullImage(ctx context.Context, r banger.PullRequest, progress func(banger.PullProgress)) (banger.Image, error) {
	short, err := imagename.Familiar(r.Reference)
	if err != nil {
		return banger.Image{}, err
	}
	name := cmp.Or(r.Name, short)
	if err := imagename.Validate(name); err != nil {
		return banger.Image{}, err
	}
	track := newPullTracker(progress)
	track.image(banger.PullResolving)
	found, err := s.Sources.Registry(ctx, r)
	if err != nil {
		return banger.Image{}, err
	}
	image, err := s.pulls.take(ctx, taking{found, name, r.MaxBytes}, track)
	return image, errors.Join(err, found.Close())
}

// ImportImage implements banger.ImageService.
func (s *Service) ImportImage(ctx context.Context, r banger.ImportRequest, progress func(banger.PullProgress)) (banger.Image, error) {
	if !filepath.IsAbs(r.Path) {
		return banger.Image{}, banger.Errorf(banger.CodeInvalid, "cannot import image: the path %.100q is not absolute", r.Path)
	}
	if r.Name != "" {
		if err := imagename.Validate(r.Name); err != nil {
			return banger.Image{}, err
		}
	}
	track := newPullTracker(progress)
	track.image(banger.PullResolving)
	found, err := s.Sources.Archive(ctx, r)
	if err != nil {
		return banger.Image{}, err
	}
	image, err := s.importAs(ctx, found, r, track)
	return image, errors.Join(err, found.Close())
}

func (s *Service) importAs(ctx context.Context, found *Foreign, r banger.ImportRequest, track *pullTracker) (banger.Image, error) {
	name := cmp.Or(r.Name, importedName(found.Name, r.Path))
	if imagename.Validate(name) != nil {
		return banger.Image{}, banger.Errorf(banger.CodeInvalid, "cannot import %s: it has no name that can be used", found.Source).
			WithHint("give it one with --name")
	}
	return s.pulls.take(ctx, taking{found, name, r.MaxBytes}, track)
}

// importedName is what an image from a file is called: as it is in there, else as the file.
// What has only a tag in there is called by both.
func importedName(inside, file string) string {
	base := path.Base(file)
	for _, suffix := range []string{".gz", ".zst", ".tar", ".oci"} {
		base = strings.TrimSuffix(base, suffix)
	}
	if inside != "" && imagename.Plain(inside) { // a tag
		before, _, _ := strings.Cut(base, ":")
		return before + ":" + inside
	}
	if short, err := imagename.Familiar(inside); err == nil {
		return short
	}
	return base
}

// taking is an image that is to be taken.
type taking struct {
	*Foreign
	name     string // that it is to have
	maxBytes int64  // of PullRequest.MaxBytes
}

// take makes an image of a foreign one, unless it is there, and names it. Of those who want
// the same image at once, one makes it.
func (s *pulls) take(ctx context.Context, f taking, track *pullTracker) (banger.Image, error) {
	if f.maxBytes < 0 {
		return banger.Image{}, banger.Errorf(banger.CodeInvalid, "cannot take %s: max_bytes is negative", f.Source)
	}
	m, err := foreignManifest(s.stacks, f.Foreign)
	if err != nil {
		return banger.Image{}, err
	}
	id, err := m.Content.id()
	if err != nil {
		return banger.Image{}, err
	}
	track.begins(f.Layers)
	unlock, free := s.making.TryLock(string(id))
	if !free {
		track.image(banger.PullWaiting)
		if unlock, err = s.making.Lock(ctx, string(id)); err != nil {
			return banger.Image{}, err
		}
	}
	defer unlock()
	image, found := s.shelf.sound(id)
	if !found {
		if image, err = s.unpack(ctx, f, m, id, track); err != nil {
			return banger.Image{}, err
		}
	}
	image.Name = f.name
	if image, err = s.store.PutImage(ctx, image); err != nil {
		return banger.Image{}, err
	}
	track.image(banger.PullDone)
	return image, nil
}

// unpack makes the layers and the manifest of an image. What could be of use to another
// try stays for a day: an interrupted pull is continued. Anything else is removed.
func (s *pulls) unpack(ctx context.Context, f taking, m manifest, id banger.ImageID, track *pullTracker) (_ banger.Image, err error) {
	layers, err := s.shelf.layers.use(ctx)
	if err != nil {
		return banger.Image{}, fmt.Errorf("cannot store image: %w", err)
	}
	age := keepUnfinished
	defer func() {
		err = explainFull("store", s.shelf.layers.dir(), err)
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		resumable := err != nil && (ctx.Err() != nil || banger.CodeOf(err) == banger.CodeUnavailable)
		if !resumable {
			f.forget(cleaning)
		}
		if err != nil && !resumable {
			age = 0
		}
		_ = layers.Close()
		s.shelf.collect(cleaning, age)
	}()
	known, err := s.shelf.knownLayers()
	if err != nil {
		return banger.Image{}, err
	}
	missing, err := s.shelf.layers.missing(m, known)
	if err != nil {
		return banger.Image{}, err
	}
	if err := s.shelf.layers.checkRoom(f.Foreign, missing); err != nil {
		return banger.Image{}, err
	}
	if err := s.makeLayers(ctx, f, missing, track); err != nil {
		return banger.Image{}, fmt.Errorf("cannot take %s: %w", f.Source, err)
	}
	if m.Layers, err = s.shelf.layers.measure(m, known); err != nil {
		return banger.Image{}, err
	}
	return s.publish(ctx, m, id)
}

// keepUnfinished is how long what an interrupted pull has brought is kept for the next one.
const keepUnfinished = 24 * time.Hour

// publish stores an image that consists of its manifest and of layers that are there.
func (s *pulls) publish(ctx context.Context, m manifest, id banger.ImageID) (_ banger.Image, err error) {
	folder, err := s.shelf.newFolder()
	if err != nil {
		return banger.Image{}, err
	}
	defer func() { err = errors.Join(err, folder.remove(ctx)) }()
	if err := m.write(folder.Content()); err != nil {
		return banger.Image{}, err
	}
	if err := ctx.Err(); err != nil {
		return banger.Image{}, context.Cause(ctx)
	}
	return m.image(id), folder.Publish(string(id))
}

// fetchesAtOnce is how many layers of an image come at the same time.
const fetchesAtOnce = 3

// makeLayers fetches the layers that are missing, some at once, and has them made into file
// systems, the lowest first, as they come.
func (s *pulls) makeLayers(ctx context.Context, f taking, missing []bool, track *pullTracker) error {
	group, ctx := errgroup.WithContext(ctx)
	fetched := make([]chan struct{}, len(f.Layers)) // each is closed when the layer is here
	stack := make([]StackLayer, len(f.Layers))
	for n := range f.Layers {
		fetched[n] = make(chan struct{})
		stack[n] = StackLayer{DiffID: f.Layers[n].DiffID, Open: func(ctx context.Context) (io.ReadCloser, error) {
			select {
			case <-fetched[n]:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			return track.open(ctx, n, f.Layers[n])
		}}
	}
	turns := make(chan struct{}, fetchesAtOnce)
	group.Go(func() error {
		for n, l := range f.Layers {
			if !missing[n] {
				track.layer(n, banger.PullPresent)
				continue
			}
			if l.Fetch == nil {
				close(fetched[n])
				continue
			}
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			group.Go(func() error {
				defer func() { <-turns }()
				track.layer(n, banger.PullFetching)
				if err := l.Fetch(ctx, func(bytes int64) { track.advance(n, bytes) }); err != nil {
					return err
				}
				close(fetched[n])
				return nil
			})
		}
		return nil
	})
	group.Go(func() error {
		return s.stacks.Add(ctx, stack, f.maxBytes, func(n int, _ int64) {
			if missing[n] {
				track.layer(n, banger.PullStored)
			}
		})
	})
	return group.Wait()
}

// forget removes what was fetched of all layers; what is left goes later.
func (f *Foreign) forget(ctx context.Context) {
	for _, l := range f.Layers {
		if l.Forget != nil {
			_ = l.Forget(ctx)
		}
	}
}
