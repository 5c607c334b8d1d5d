package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"banger"
	"banger/internal/paths"
	"banger/internal/staging"
)

// shelf is the directory of images, and that of the layers that they share.
type shelf struct {
	paths         paths.Paths
	layers        layerFiles
	removeScratch func(ctx context.Context, scratch string) error // of a build
	area          *staging.Area
	log           *slog.Logger
}

// manifest reads the manifest of one image.
func (s *shelf) manifest(id banger.ImageID) (manifest, error) {
	return readManifest(s.paths.Image(id), id)
}

// manifests returns those of all images that have a sound one.
func (s *shelf) manifests() (map[banger.ImageID]manifest, error) {
	entries, err := os.ReadDir(s.paths.Images())
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
			s.log.Warn("cannot read image", "image", id, "error", err)
			continue
		}
		found[id] = m
	}
	return found, nil
}

// checkFiles checks that the files of an image are there and have their sizes, which costs
// no reading.
func (s *shelf) checkFiles(m manifest) error {
	if m.Content.OCI != nil {
		return m.checkLayers(s.layers)
	}
	id, err := m.Content.id()
	return errors.Join(err, m.checkFiles(s.paths.Image(id)))
}

// sound returns an image if its files are there.
func (s *shelf) sound(id banger.ImageID) (banger.Image, bool) {
	m, err := s.manifest(id)
	if err == nil {
		err = s.checkFiles(m)
	}
	return m.image(id), err == nil
}
