package testimage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"banger"
	"banger/internal/image/mmdebstrap"
)

// SystemdTar returns an archive of a Debian with systemd and an SSH server, as a layer of an
// image has it. It is made once for a checkout.
func SystemdTar(ctx context.Context, suite string) (path string, err error) {
	recipe := banger.ImageRecipe{Suite: suite, Include: []string{"systemd-sysv", "udev", "dbus", "openssh-server"}}
	key := sha256.Sum256([]byte(strings.Join(recipe.Include, " ")))
	path = filepath.Join(DataHome(), fmt.Sprintf("systemd-%s-%x.tar", suite, key[:4]))
	if err := os.MkdirAll(DataHome(), 0o755); err != nil {
		return "", err
	}
	lock := flock.New(path + ".lock")
	if err := lock.Lock(); err != nil {
		return "", fmt.Errorf("cannot lock archive of systemd: %w", err)
	}
	defer lock.Close()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	scratch, err := os.MkdirTemp("", "banger-systemd-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	if err := os.Chmod(scratch, 0o711); err != nil { // a build's other ids must get through
		return "", err
	}
	f, err := os.Create(path + ".new")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	builder := mmdebstrap.New()
	if err := errors.Join(builder.Build(ctx, recipe, scratch, f, nil), builder.RemoveScratch(ctx, scratch), f.Close()); err != nil {
		return "", fmt.Errorf("cannot make archive of systemd: %w", err)
	}
	return path, os.Rename(f.Name(), path)
}
