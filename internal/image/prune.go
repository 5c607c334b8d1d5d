package image

import (
	"context"
	"slices"

	"banger"
	"banger/internal/diskusage"
)

// PruneImages implements banger.ImageService.
func (s *Service) PruneImages(ctx context.Context, r banger.ImagePruneRequest) (banger.ImagePruneResult, error) {
	result := banger.ImagePruneResult{Images: []banger.Image{}}
	unused, err := s.Store.ListUnusedImages(ctx)
	if err != nil {
		return result, err
	}
	going := map[banger.ImageID]bool{}
	var freed diskusage.Tree
	for _, i := range unused {
		if !r.All && isDefault(i) {
			continue
		}
		took, err := diskusage.Of(s.Paths.Image(i.ID))
		if err != nil {
			return result, err
		}
		if r.DryRun {
			err = s.users.checkUnused(i)
		} else {
			err = s.delete(ctx, i)
		}
		switch code := banger.CodeOf(err); {
		case err == nil:
			going[i.ID] = true
			result.Images = append(result.Images, i)
			freed = freed.With(took)
		case code != banger.CodeInUse && code != banger.CodeNotFound: // since it was listed
			return result, err
		}
	}
	layers, err := s.shelf.layers.remove(removal{dryRun: r.DryRun}, func() (map[string]bool, error) { return s.shelf.neededLayers(going) })
	result.ReclaimedBytes = freed.With(layers).Freed()
	return result, err
}

// isDefault reports whether the next VM would have an image built again.
func isDefault(i banger.Image) bool { return slices.Contains(i.Names(), banger.DefaultImageName) }
