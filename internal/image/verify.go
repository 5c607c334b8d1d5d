package image

import (
	"context"
	"fmt"
	"path/filepath"

	"banger"
	"banger/internal/files"
)

// Verify reads every byte of an image and compares it with what was built. A difference
// is CodeCorrupt, naming the image and the file.
func (s *Service) Verify(ctx context.Context, id banger.ImageID) error {
	m, err := s.shelf.manifest(id)
	switch {
	case err != nil:
	case m.Content.OCI != nil:
		err = m.verifyLayers(ctx, s.shelf.layers)
	default:
		err = m.verify(ctx, s.Paths.Image(id))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return s.corrupt(ctx, id, err)
	}
	return nil
}

func (m manifest) verify(ctx context.Context, dir string) error {
	for _, name := range []string{rootName, kernelName, packagesName} {
		is, err := files.Measure(filepath.Join(dir, name))
		if err != nil {
			return missingFile(name, err)
		}
		if want := m.Content.Files[name]; is != want {
			return fmt.Errorf("its file %s has %d bytes with the SHA-256 %s instead of %d with %s", name, is.Size, is.SHA256, want.Size, want.SHA256)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	is, err := files.MeasureTree(filepath.Join(dir, modulesName))
	if err != nil {
		return fmt.Errorf("its modules cannot be read: %w", err)
	}
	if is != m.Content.Modules {
		return fmt.Errorf("its modules are not those that it was made with")
	}
	return nil
}

func (m manifest) verifyLayers(ctx context.Context, layers layerFiles) error {
	if err := m.checkLayers(layers); err != nil {
		return err
	}
	for _, l := range m.Layers {
		is, err := files.Measure(layers.path(l.ChainID))
		if err != nil {
			return err
		}
		if is != l.fileFacts {
			return fmt.Errorf("its layer %s has the SHA-256 %s instead of %s", l.ChainID, is.SHA256, l.SHA256)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
