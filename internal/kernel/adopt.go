package kernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/files"
)

// Adopt makes a kernel of one that is in the directory of an image, with its modules, unless it
// is there. The two then share their files, where the file system can do that.
func (s *Service) Adopt(ctx context.Context, image, release string) (banger.KernelID, error) {
	vmlinuz, err := files.Measure(filepath.Join(image, vmlinuzName))
	if err != nil {
		return "", fmt.Errorf("cannot take the kernel of an image: %w", err)
	}
	modules, err := files.MeasureTree(filepath.Join(image, modulesName))
	if err != nil {
		return "", fmt.Errorf("cannot take the kernel of an image: %w", err)
	}
	sum := sha256.Sum256([]byte(vmlinuz.SHA256 + " " + modules.SHA256))
	m := manifest{Content: content{
		Format: manifestFormat, Release: release, Version: release,
		Architecture: runtime.GOARCH, Digest: "sha256:" + hex.EncodeToString(sum[:]),
	}}
	id, err := m.Content.id()
	if err != nil {
		return "", err
	}
	unlock, err := s.making.Lock(ctx, id)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := s.Files(id); err == nil {
		return id, nil
	}
	d, err := s.area.New()
	if err != nil {
		return "", fmt.Errorf("cannot take the kernel of an image: %w", err)
	}
	for _, name := range []string{vmlinuzName, vmlinuxName, modulesName} {
		if err = shareTree(filepath.Join(image, name), filepath.Join(d.Content(), name)); err != nil && (name != vmlinuxName || !errors.Is(err, fs.ErrNotExist)) {
			break
		}
		err = nil
	}
	if err == nil {
		err = s.finish(ctx, d, m, id)
	}
	return id, explainFull(Dir(s.Paths), errors.Join(err, d.Remove()))
}

// shareTree gives the files at from, which nobody changes, further names at to, or copies them.
func shareTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if err := os.Link(path, target); !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EMLINK) {
			return err
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
