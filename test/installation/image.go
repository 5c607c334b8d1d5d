package installation

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"banger"
)

// NewWithImages is New with images of its own: at first the default image, in a
// copy that shares its files with the original, so that files may be removed
// but not be written.
func NewWithImages(t testing.TB, bin Binaries) (*Installation, banger.Image) {
	t.Helper()
	cache := filepath.Join(root(), ".cache")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.MkdirTemp(cache, "images-") // hard links need the same file system
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) }) // after the installation's end
	i := New(t, bin)
	i.Image(t)
	image := JSON[banger.Image](t, i, "image", "show", banger.DefaultImageName)
	from := i.Paths().Image(image.ID)
	i.MustRun(t, "daemon", "stop")
	i.Setenv("XDG_DATA_HOME", data)
	i.Setenv("XDG_STATE_HOME", filepath.Join(i.Dir, "other-state")) // where no other image is known
	if err := linkTree(from, i.Paths().Image(image.ID)); err != nil {
		t.Fatal(err)
	}
	i.Image(t) // builds nothing: it is there
	return i, image
}

// linkTree makes a directory with hard links to the files of another.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, inside), 0o700)
		}
		return os.Link(path, filepath.Join(to, inside))
	})
}
