package machine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"banger"
	"banger/internal/diskusage"
	"banger/internal/filelock"
)

// DiskUsage returns what VMs, and what is being created or deleted of any, take of the disk. It
// takes no lock, and what vanishes meanwhile counts as nothing.
func (s *VMs) DiskUsage(vms []banger.VM) ([]diskusage.Item, error) {
	dirs := s.homes.paths
	entries, err := os.ReadDir(dirs.VMs()) // before: what is deleted meanwhile is not counted a second time
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	items := make([]diskusage.Item, 0, len(vms))
	for _, vm := range vms {
		item := diskusage.Item{Kind: banger.DiskVMs, Name: vm.Name}
		ended := vm.State == banger.VMStopped || vm.State == banger.VMFailed
		if ended && s.runs.of(vm.ID) == nil && !s.drivers.Standing(vm) {
			item.Commands = []string{"banger vm delete NAME"}
		}
		if item.Tree, err = diskusage.Of(dirs.VM(vm.ID)); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	for _, e := range entries {
		path := filepath.Join(dirs.VMs(), e.Name())
		if path == dirs.VMTrash() || slices.ContainsFunc(vms, func(vm banger.VM) bool { return string(vm.ID) == e.Name() }) {
			continue
		}
		item := diskusage.Item{Kind: banger.DiskUnfinished, Name: path}
		if item.Tree, err = diskusage.Of(path); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// DiskUsage returns what is in the trash. Other than ListTrash it takes no lock.
func (s *Trash) DiskUsage(ctx context.Context) ([]diskusage.Item, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	var items []diskusage.Item
	for _, e := range entries {
		if _, _, ok := parseTrashName(e.Name()); !ok {
			continue
		}
		item := diskusage.Item{Kind: banger.DiskTrash, Name: filepath.Join(s.paths.VMTrash(), e.Name())}
		if item.Tree, err = diskusage.Of(item.Name); err != nil {
			return nil, err
		}
		held, err := filelock.Flocked(item.Name)
		if err != nil {
			return nil, err
		}
		if !held && s.checkIdle(ctx, item.Name) == nil {
			item.Commands = []string{"banger vm gc"}
		}
		items = append(items, item)
	}
	return items, nil
}
