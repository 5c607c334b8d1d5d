package image

import (
	"context"
	"path/filepath"

	"banger"
)

// Files are the parts of an image that a VM boots from, all absolute paths.
type Files struct {
	ID banger.ImageID // of the image that has the kernel
	// Roots are raw ext4s, never written, that overlayfs stacks: the lowest first, at
	// least one.
	Roots   []string
	Kernel  string // unpacked if it can be
	Modules string // the directory that holds modules.dep, named by the kernel's release
	User    string // whose home is on the work disk, beside root's: as whom an image from elsewhere runs its command, or BuiltImageUser
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
		return s.layerFiles(ctx, id, m)
	}
	dir := s.Paths.Image(id)
	return Files{
		ID: id, Roots: []string{filepath.Join(dir, rootName)}, Kernel: s.kernel(id), Modules: m.modulesDir(dir),
		User: banger.BuiltImageUser,
	}, nil
}

// kernelImage returns the image whose kernel those have that came without one: the newest that
// was built here. Its id is empty if there is none.
func kernelImage(images []banger.Image) (newest banger.Image) {
	for _, i := range images {
		if i.OCI == nil && i.CreatedAt.After(newest.CreatedAt) {
			newest = i
		}
	}
	return newest
}

// layerFiles returns the files of an image from elsewhere. It never brings a kernel: it is
// booted with that of the newest image that was built here.
func (s *Service) layerFiles(ctx context.Context, id banger.ImageID, m manifest) (Files, error) {
	images, err := s.Store.ListImages(ctx)
	if err != nil {
		return Files{}, err
	}
	newest := kernelImage(images)
	if newest.ID == "" {
		return Files{}, banger.Errorf(banger.CodeMissing, "cannot use image %s: there is no kernel for it: it is that of an image that was built here", id).
			WithHint("build one with: banger image build")
	}
	files, err := s.Files(ctx, newest.ID)
	if err != nil {
		return Files{}, err
	}
	files.Roots, files.User = nil, m.Content.OCI.Config.User
	for _, l := range m.Layers {
		files.Roots = append(files.Roots, s.shelf.layers.path(l.ChainID))
	}
	return files, nil
}
