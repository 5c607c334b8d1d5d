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
	if unused, err = s.withoutKernel(ctx, unused); err != nil {
		return result, err
	}
	going := map[banger.ImageID]bool{}
	for _, i := range unused {
		size := treeBytes(s.Paths.Image(i.ID))
		err := s.users.checkUnused(i)
		if err == nil && !r.DryRun {
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

// withoutKernel returns unused images without the one whose kernel VMs of images from
// elsewhere boot, if there are such VMs.
func (s *Service) withoutKernel(ctx context.Context, unused []banger.Image) ([]banger.Image, error) {
	images, err := s.Store.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	needed := false
	for _, i := range images {
		free := slices.ContainsFunc(unused, func(u banger.Image) bool { return u.ID == i.ID }) && s.users.checkUnused(i) == nil
		needed = needed || i.OCI != nil && !free
	}
	if !needed {
		return unused, nil
	}
	kernel := kernelImage(images).ID
	return slices.DeleteFunc(unused, func(u banger.Image) bool { return u.ID == kernel }), nil
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
