package image

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"banger"
	"banger/internal/image/ext4"
	"banger/internal/paths"
	"banger/internal/store"
)

// fakeBuilder makes a small system without Debian.
type fakeBuilder struct {
	system []byte // tar
	err    error  // after the system was written
	builds atomic.Int32
	// hold, if not nil, is received from in each Build before it writes.
	hold chan struct{}
}

func (f *fakeBuilder) Build(ctx context.Context, _ banger.ImageRecipe, scratch string, stream io.Writer, progress func(string, float64)) error {
	f.builds.Add(1)
	if err := os.WriteFile(filepath.Join(scratch, "temporary"), []byte("data"), 0o600); err != nil {
		return err
	}
	progress("half", 0.5)
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if _, err := stream.Write(f.system); err != nil {
		return err
	}
	progress("backwards", 0.2)
	return f.err
}

func (f *fakeBuilder) RemoveScratch(_ context.Context, scratch string) error {
	return os.RemoveAll(scratch)
}

// fileSystems is what the daemon gives the service too.
type fileSystems struct{}

func (fileSystems) FromTar(r io.Reader, path string) error { return ext4.FromTar(r, path) }

const testRelease = "6.1.0-test"

// testFiles are the files of the smallest system that makes an image.
func testFiles() map[string]string {
	return map[string]string{
		"./boot/vmlinuz-" + testRelease:                            "kernel",
		"./usr/lib/modules/" + testRelease + "/modules.dep":        "kernel/fs/a.ko:\n",
		"./usr/lib/modules/" + testRelease + "/kernel/fs/a.ko":     "module",
		"./usr/lib/modules/" + testRelease + "/modules.alias":      "not needed",
		"./var/lib/dpkg/status":                                    "Package: a\nVersion: 1\nArchitecture: all\nDescription: x\n y\n\nPackage: b\nVersion: 2\nArchitecture: amd64\n",
		"./usr/share/doc/vmlinuz-6/lib/modules/trap/kernel/any.ko": "no module",
	}
}

// testSystem returns a tar of files.
func testSystem(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fixture is a service over a real store in directories of its own.
type fixture struct {
	*Service
	store   *store.Store
	scratch string
}

func newFixture(t *testing.T, b RootBuilder) fixture {
	t.Helper()
	dir := t.TempDir()
	scratch, err := os.MkdirTemp("/var/tmp", "banger-test-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(scratch) })
	if err := os.Chmod(scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", scratch)
	f := fixture{scratch: scratch}
	p := paths.Paths{Data: filepath.Join(dir, "data"), State: dir}
	if f.store, err = store.Open(t.Context(), p.Database()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	f.Service = New(Config{Store: f.store.Images, Builder: b, FS: fileSystems{}, Paths: p, Log: slog.New(slog.DiscardHandler)})
	f.builds.need = space{} // what the fake makes fits anywhere
	return f
}

func newFakeFixture(t *testing.T) (fixture, *fakeBuilder) {
	t.Helper()
	b := &fakeBuilder{system: testSystem(t, testFiles())}
	return newFixture(t, b), b
}

func (f fixture) mustBuild(t *testing.T, name string, r banger.ImageRecipe) banger.Image {
	t.Helper()
	image, err := f.BuildImage(t.Context(), name, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// leftovers lists what is in the directories of images and of temporary files beside
// complete images.
func (f fixture) leftovers(t *testing.T) string {
	t.Helper()
	var found []string
	for _, dir := range []string{f.Paths.Images(), f.scratch} {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if _, err := f.shelf.manifest(banger.ImageID(e.Name())); err != nil {
				found = append(found, e.Name())
			}
		}
	}
	return strings.Join(found, " ")
}

// tree lists the files below dir.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}
