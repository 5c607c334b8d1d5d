package ext4

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"banger"
)

func TestReadDisk_LocksTheDiskAndEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := NewDisk(t.Context(), path, minDiskMiB, "test"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	err := ReadDisk(ctx, path, func(disk fs.FS) error {
		if err := ReadDisk(ctx, path, func(fs.FS) error { return nil }); banger.CodeOf(err) != banger.CodeInUse {
			t.Errorf("a second one reads it too: %v", err)
		}
		if _, err := fs.Stat(disk, "lost+found"); err != nil {
			t.Error(err)
		}
		cancel(enough)
		if _, err := fs.Stat(disk, "lost+found"); !errors.Is(err, enough) {
			t.Errorf("it is read on: %v", err)
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("it ends with %v", err)
	}
	if err := ReadDisk(t.Context(), path, func(fs.FS) error { return os.ErrPermission }); !errors.Is(err, os.ErrPermission) {
		t.Errorf("afterwards: %v", err)
	}
}
