package image

import (
	"context"
	"path/filepath"

	"banger"
)

// Files are the parts of an image that a VM boots from, all absolute paths.
type Files struct {
	// Roots are raw ext4s, never written, that overlayfs stacks: the lowest first, at
	// least one.
	Roots []string
	User  string // whose home is on the work disk, beside root's: as whom an image from elsewhere runs its command, or BuiltImageUser
	// Of an image that was built here. Others have none.
	Kernel  string // unpacked if it can be
	Modules string // the directory that holds modules.dep, named by the kernel's release
}

// Files returns the files of an image. It fails with CodeCorrupt, naming the
// image and the file, if one is gone or has not the size it was made with.
func (s *Service) Files(ctx context.Context, id banger.ImageID) (Files, error) {
	m, err := s.shelf.manifest(id)
	if err != nil {
		return Files{}, s.corrupt(ctx, id, err)
	}
	if err := s.shelf.checkFiles(m); err != nil {
		return Files{}, s.corrupt(ctx, id, err)
	}
	if m.Content.OCI != nil {
		f := Files{User: m.Content.OCI.Config.User}
		for _, l := range m.Layers {
			f.Roots = append(f.Roots, s.shelf.layers.path(l.ChainID))
		}
		return f, nil
	}
	dir := s.Paths.Image(id)
	return Files{
		Roots: []string{filepath.Join(dir, rootName)}, User: banger.BuiltImageUser,
		Kernel: s.kernel(id), Modules: m.modulesDir(dir),
	}, nil
}

// NewestKernel returns the directory of the newest image that was built here, and the release of
// the kernel in it; nothing if there is no such image.
func (s *Service) NewestKernel(ctx context.Context) (dir, release string, err error) {
	images, err := s.Store.ListImages(ctx)
	if err != nil {
		return "", "", err
	}
	var newest banger.Image
	for _, i := range images {
		if i.OCI == nil && i.CreatedAt.After(newest.CreatedAt) {
			newest = i
		}
	}
	if newest.ID == "" {
		return "", "", nil
	}
	if _, err := s.Files(ctx, newest.ID); err != nil {
		return "", "", err
	}
	return s.Paths.Image(newest.ID), newest.KernelRelease, nil
}
