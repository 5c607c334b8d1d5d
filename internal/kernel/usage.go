package kernel

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"banger"
	"banger/internal/diskusage"
)

// DiskUsage returns what kernels, and what was begun of any, take of the disk. It takes no lock,
// and what vanishes meanwhile counts as nothing.
func (s *Service) DiskUsage(ctx context.Context) ([]diskusage.Item, error) {
	kernels, err := s.ListKernels(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(Dir(s.Paths))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	kept, _ := Find(banger.DefaultKernelName, kernels)
	items := make([]diskusage.Item, 0, len(entries))
	for _, e := range entries {
		path := filepath.Join(Dir(s.Paths), e.Name())
		item := diskusage.Item{Kind: banger.DiskUnfinished, Name: path}
		at := slices.IndexFunc(kernels, func(k banger.Kernel) bool { return string(k.ID) == e.Name() })
		if at >= 0 {
			item = itemOf(kernels[at], kernels[at].ID == kept.ID)
		}
		if item.Tree, err = diskusage.Of(path); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// itemOf describes a kernel; kept says that the next VM would be given it.
func itemOf(k banger.Kernel, kept bool) diskusage.Item {
	const prune, pruneAll = "banger kernel prune", "banger kernel prune --all"
	item := diskusage.Item{Kind: banger.DiskKernels, Name: k.Release, Users: k.VMs}
	switch {
	case len(k.VMs) > 0:
	case kept:
		item.Commands = []string{pruneAll}
	default:
		item.Commands = []string{prune, pruneAll}
	}
	return item
}
