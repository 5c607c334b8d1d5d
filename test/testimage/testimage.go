// Package testimage gives tests the image that their guests boot from. It is
// built once for a checkout, by whichever test needs it first, and kept in
// .cache/test, where the installations of tests find it too.
package testimage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"

	"banger"
	"banger/internal/daemon"
	"banger/internal/image"
	"banger/internal/image/mmdebstrap"
	"banger/internal/paths"
)

// Recipe is that of the image: the one that users get.
func Recipe() banger.ImageRecipe { return banger.ImageRecipe{} }

// DataHome is the XDG_DATA_HOME in which the image lies.
func DataHome() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", ".cache", "test")
}

// Files returns the files of the image, which it builds if need be. Others who
// want it at the same time wait.
func Files(ctx context.Context) (files image.Files, err error) {
	data := filepath.Join(DataHome(), "banger")
	state, err := os.MkdirTemp("", "banger-testimage-")
	if err != nil {
		return files, err
	}
	defer os.RemoveAll(state)
	p := paths.Paths{Config: state, Data: data, State: state}
	if err := p.Create(); err != nil {
		return files, err
	}
	lock := flock.New(filepath.Join(data, "testimage.lock"))
	if err := lock.Lock(); err != nil {
		return files, fmt.Errorf("cannot lock test image: %w", err)
	}
	defer lock.Close()
	d, err := daemon.New(ctx, daemon.Parts{
		Paths: p, Builder: mmdebstrap.New(), FileSystems: daemon.FileSystems{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return files, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Images.Recover(ctx); err != nil {
		return files, err
	}
	built, err := d.Images.BuildImage(ctx, banger.DefaultImageName, Recipe(), nil)
	if err != nil {
		return files, err
	}
	return d.Images.Files(ctx, built.ID)
}
