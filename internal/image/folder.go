package image

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"banger/internal/filelock"

	"golang.org/x/sys/unix"

	"banger"
)

// A build directory in the directory of images holds "image", which becomes the image,
// and "scratch", a file that names the build's directory of temporary files. Its
// builder keeps a lock (flock(2)) on it: one that is not locked is a leftover.
// What is being deleted is moved to a build directory too.
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
	shelf   *shelf
	dir     string
	lock    *os.File
	scratch string
}

// newFolder makes a build directory without a scratch.
func (s *shelf) newFolder() (*buildFolder, error) {
	s.mu.Lock() // else sweep could find the directory before it is locked
	defer s.mu.Unlock()
	if err := os.MkdirAll(s.paths.Images(), 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.paths.Images(), buildPrefix)
	if err != nil {
		return nil, err
	}
	lock, err := filelock.FlockDir(dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, imagePart), 0o700); err != nil {
		os.RemoveAll(dir)
		lock.Close()
		return nil, err
	}
	return &buildFolder{shelf: s, dir: dir, lock: lock}, nil
}

// makeScratch makes the directory of temporary files. Its name is written down
// before it exists, so that no death of this process leaves it behind.
func (b *buildFolder) makeScratch() error {
	path := filepath.Join(scratchParent(), scratchPrefix+strings.ToLower(rand.Text()))
	if err := os.WriteFile(filepath.Join(b.dir, scratchPart), []byte(path), 0o600); err != nil {
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

// image is the directory that becomes the image.
func (b *buildFolder) image() string { return filepath.Join(b.dir, imagePart) }

// publish makes the image durable and gives it its place; a broken image of the
// same content that is there gives way.
func (b *buildFolder) publish(id banger.ImageID) error {
	images := b.shelf.paths.Images()
	// One call for all files: there are thousands.
	folder, err := os.Open(images)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := unix.Syncfs(int(folder.Fd())); err != nil {
		return fmt.Errorf("cannot sync directory %s: %w", images, err)
	}
	to := b.shelf.paths.Image(id)
	if err := os.Rename(to, filepath.Join(b.dir, "replaced")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(b.image(), to); err != nil {
		return err
	}
	return folder.Sync()
}

// remove removes the directory and its scratch, also when ctx has ended.
func (b *buildFolder) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	defer b.lock.Close()
	if b.scratch != "" {
		if err := b.shelf.removeScratch(ctx, b.scratch); err != nil {
			return err // the directory stays, so that the next sweep tries again
		}
	}
	return os.RemoveAll(b.dir)
}

// removeImage removes the files of an image: first its name, then the rest, so
// that none is ever there in part.
func (s *shelf) removeImage(ctx context.Context, id banger.ImageID) error {
	b, err := s.newFolder()
	if err != nil {
		return fmt.Errorf("cannot delete image %s: %w", id, err)
	}
	err = os.Rename(s.paths.Image(id), filepath.Join(b.dir, "deleted"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, b.remove(ctx))
}

// sweep removes build directories that no living process holds.
func (s *shelf) sweep(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	leftovers, err := filepath.Glob(filepath.Join(s.paths.Images(), buildPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range leftovers {
		lock, err := filelock.FlockDir(dir)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return err
		}
		s.log.Info("removing what an interrupted build left", "directory", dir)
		b := &buildFolder{shelf: s, dir: dir, lock: lock, scratch: scratchOf(dir)}
		if err := b.remove(ctx); err != nil {
			// It takes up space but harms nothing, so it must not stop a start.
			s.log.Warn("cannot remove what an interrupted build left", "directory", dir, "error", err)
		}
	}
	return nil
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
