package image

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"banger"
	"banger/internal/staging"
)

// A staging directory in that of images is a build directory: beside the image it may have
// "scratch", a file that names the build's directory of temporary files.
const (
	buildPrefix   = ".build-"
	scratchPrefix = "banger-image-"
	imagePart     = "image"
	scratchPart   = "scratch"
)

// cleanUpTime bounds the removal of a cancelled build's files.
const cleanUpTime = time.Minute

// buildFolder is the place of one build.
type buildFolder struct {
	*staging.Dir
	shelf   *shelf
	scratch string
}

// newFolder makes a build directory without a scratch.
func (s *shelf) newFolder() (*buildFolder, error) {
	d, err := s.area.New()
	if err != nil {
		return nil, err
	}
	return &buildFolder{Dir: d, shelf: s}, nil
}

// makeScratch makes the directory of temporary files. Its name is written down
// before it exists, so that no death of this process leaves it behind.
func (b *buildFolder) makeScratch() error {
	path := filepath.Join(scratchParent(), scratchPrefix+strings.ToLower(rand.Text()))
	if err := os.WriteFile(filepath.Join(b.Path, scratchPart), []byte(path), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	b.scratch = path
	// Apt and the new system's root run as others, who must get to their directories.
	return os.Chmod(path, 0o711)
}

// scratchParent is where big temporary files go: TMPDIR if everyone may pass
// through it, as a builder's other ids must; else what file-hierarchy(7) has for
// them, since /tmp may be memory.
func scratchParent() string {
	if dir := os.Getenv("TMPDIR"); filepath.IsAbs(dir) && openToAll(filepath.Clean(dir)) {
		return filepath.Clean(dir)
	}
	return "/var/tmp"
}

// openToAll reports whether everyone may pass through dir and all directories above it.
func openToAll(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o001 == 0 {
		return false
	}
	return dir == "/" || openToAll(filepath.Dir(dir))
}

// remove removes the directory and its scratch, also when ctx has ended.
func (b *buildFolder) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if b.scratch != "" {
		if err := b.shelf.removeScratch(ctx, b.scratch); err != nil {
			return errors.Join(err, b.Abandon()) // so that the next sweep tries again
		}
	}
	return b.Remove()
}

// removeImage removes the files of an image.
func (s *shelf) removeImage(ctx context.Context, id banger.ImageID) error {
	err := s.area.Discard(string(id), func(d *staging.Dir) error { return (&buildFolder{Dir: d, shelf: s}).remove(ctx) })
	if err != nil {
		return fmt.Errorf("cannot delete image %s: %w", id, err)
	}
	return nil
}

// sweep removes build directories that no living process holds.
func (s *shelf) sweep(ctx context.Context) error {
	return s.area.Leftovers(func(d *staging.Dir) {
		s.log.Info("removing what an interrupted build left", "directory", d.Path)
		b := &buildFolder{Dir: d, shelf: s, scratch: scratchOf(d.Path)}
		if err := b.remove(ctx); err != nil {
			// It takes up space but harms nothing, so it must not stop a start.
			s.log.Warn("cannot remove what an interrupted build left", "directory", d.Path, "error", err)
		}
	})
}

// scratchOf returns the scratch directory of a leftover, "" if it has none. Only a
// directory that makeScratch could have made is believed.
func scratchOf(dir string) string {
	data, err := os.ReadFile(filepath.Join(dir, scratchPart))
	path := string(data)
	if err != nil || !filepath.IsAbs(path) || filepath.Clean(path) != path || !strings.HasPrefix(filepath.Base(path), scratchPrefix) {
		return ""
	}
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}
