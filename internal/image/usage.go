package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"banger"
	"banger/internal/diskusage"
	"banger/internal/filelock"
)

// The commands that delete images and layers.
const (
	pruneCommand    = "banger image prune"
	pruneAllCommand = pruneCommand + " --all"
)

// usageCount is one count of what images take. It takes no lock, and what vanishes meanwhile
// counts as nothing.
type usageCount struct {
	*Service
	items []diskusage.Item
	// unused are the images that each command would delete.
	unused map[string]map[banger.ImageID]bool
}

// DiskUsage returns what images, their layers, and what was begun of either, take of the disk.
// vms are those of this installation.
func (s *Service) DiskUsage(ctx context.Context, vms []banger.VM) ([]diskusage.Item, error) {
	u := &usageCount{Service: s, unused: map[string]map[banger.ImageID]bool{pruneCommand: {}, pruneAllCommand: {}}}
	images, err := s.Store.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	dirs, err := os.ReadDir(s.Paths.Images()) // before: what is deleted meanwhile is not counted a second time
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, i := range images {
		if err := u.image(i, vms); err != nil {
			return nil, err
		}
	}
	if err := u.unfinished(dirs, images); err != nil {
		return nil, err
	}
	if err := u.layers(images); err != nil {
		return nil, err
	}
	return u.items, nil
}

// image counts an image, without its layers.
func (u *usageCount) image(i banger.Image, vms []banger.VM) error {
	users, err := u.users.foreign(i.ID)
	if err != nil {
		return err
	}
	for _, vm := range vms {
		if vm.ImageID == i.ID {
			users = append(users, vm.Name)
		}
	}
	item := diskusage.Item{Kind: banger.DiskImages, Name: nameOf(i), Users: users}
	if len(users) == 0 {
		u.unused[pruneAllCommand][i.ID] = true
		item.Commands = []string{pruneAllCommand}
		if !isDefault(i) {
			u.unused[pruneCommand][i.ID] = true
			item.Commands = []string{pruneCommand, pruneAllCommand}
		}
	}
	return u.count(item, u.Paths.Image(i.ID))
}

func nameOf(i banger.Image) string {
	if names := i.Names(); len(names) > 0 {
		return names[0]
	}
	return string(i.ID)
}

// count counts what is at paths as one item.
func (u *usageCount) count(item diskusage.Item, paths ...string) (err error) {
	item.Tree, err = diskusage.Of(paths...)
	u.items = append(u.items, item)
	return err
}

// unfinished counts what is in the directory of images and is none.
func (u *usageCount) unfinished(dirs []fs.DirEntry, images []banger.Image) error {
	for _, e := range dirs {
		if slices.ContainsFunc(images, func(i banger.Image) bool { return string(i.ID) == e.Name() }) {
			continue
		}
		paths := []string{filepath.Join(u.Paths.Images(), e.Name())}
		if scratch := scratchOf(paths[0]); scratch != "" {
			paths = append(paths, scratch)
		}
		if err := u.count(diskusage.Item{Kind: banger.DiskUnfinished, Name: paths[0]}, paths...); err != nil {
			return err
		}
	}
	return nil
}

// layers counts layers, and what pulls have fetched. While one runs, no command deletes any of
// that.
func (u *usageCount) layers(images []banger.Image) error {
	l := u.shelf.layers
	busy, err := filelock.Flocked(filepath.Join(l.dir(), layersLock))
	if err != nil {
		return err
	}
	commands := map[string][]string{} // by path
	for _, command := range []string{pruneCommand, pruneAllCommand} {
		keep, err := u.shelf.neededLayers(u.unused[command])
		if busy || err != nil {
			break // nor does the command delete any if it does not know which are needed
		}
		due, err := l.due(0, keep)
		if err != nil {
			return err
		}
		for _, path := range due {
			commands[path] = append(commands[path], command)
		}
	}
	users := map[string][]string{} // by path
	for _, i := range images {
		if i.OCI == nil {
			continue
		}
		for _, layer := range i.OCI.Layers {
			path := l.path(strings.TrimPrefix(layer.ChainID, "sha256:"))
			users[path] = append(users[path], nameOf(i))
		}
	}
	all, err := l.all()
	if err != nil {
		return err
	}
	for _, path := range all {
		item := diskusage.Item{Kind: banger.DiskUnfinished, Name: path, Users: users[path], Commands: commands[path]}
		if id, ok := l.chainID(path); ok {
			item.Kind, item.Name = banger.DiskLayers, "sha256:"+id
		}
		if err := u.count(item, path); err != nil {
			return err
		}
	}
	return nil
}
