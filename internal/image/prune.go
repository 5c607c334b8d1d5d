package image

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"

	"banger"
)

// PruneImages implements banger.ImageService.
func (s *Service) PruneImages(ctx context.Context, r banger.ImagePruneRequest) (banger.ImagePruneResult, error) {
	result := banger.ImagePruneResult{Images: []banger.Image{}}
	unused, err := s.Store.ListUnusedImages(ctx)
	if err != nil {
		return result, err
	}
	going := map[banger.ImageID]bool{}
	for _, i := range unused {
		if !r.All && slices.Contains(i.Names(), banger.DefaultImageName) {
			continue // the next VM would have it built again
		}
		size := treeBytes(s.Paths.Image(i.ID))
		if r.DryRun {
			err = s.users.checkUnused(i)
		} else {
			err = s.delete(ctx, i)
		}
		switch code := banger.CodeOf(err); {
		case err == nil:
			going[i.ID] = true
			result.Images = append(result.Images, i)
			result.ReclaimedBytes += size
		case code != banger.CodeInUse && code != banger.CodeNotFound: // since it was listed
			return result, err
		}
	}
	layers, err := s.shelf.layers.remove(removal{dryRun: r.DryRun}, func() (map[string]bool, error) { return s.shelf.neededLayers(going) })
	result.ReclaimedBytes += layers
	return result, err
}

// treeBytes returns what the files below a directory have, as far as they can be read.
func treeBytes(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // it counts as nothing
		}
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
