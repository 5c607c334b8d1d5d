//go:build !unit

package image

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"banger"
	"banger/internal/vmlinux/vmlinuxtest"
)

// withKernel is the test system with a kernel of its own.
func withKernel(t *testing.T, kernel []byte) []byte {
	t.Helper()
	files := testFiles()
	files["./boot/vmlinuz-"+testRelease] = string(kernel)
	return testSystem(t, files)
}

func TestBuildImage_UnpacksTheKernel(t *testing.T) {
	kernel := vmlinuxtest.Kernel(true)
	packed, err := vmlinuxtest.BzImage("lz4", kernel)
	if err != nil {
		t.Fatal(err)
	}
	s := newFixture(t, &fakeBuilder{system: withKernel(t, packed)})
	image, err := s.BuildImage(t.Context(), "i", banger.ImageRecipe{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.Paths.Image(image.ID), "vmlinux")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, kernel) {
		t.Errorf("it has %d bytes, %v", len(got), err)
	}
	t.Run("of an older image when it is used", func(t *testing.T) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		files, err := s.Files(t.Context(), image.ID)
		if err != nil || files.Kernel != path {
			t.Fatalf("it boots %s, %v", files.Kernel, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, kernel) {
			t.Errorf("it has %d bytes, %v", len(got), err)
		}
	})
}

func TestFiles_KernelThatCannotBeUnpackedBootsAsItIs(t *testing.T) {
	unentered, err := vmlinuxtest.BzImage("zstd", vmlinuxtest.Kernel(false))
	if err != nil {
		t.Fatal(err)
	}
	for name, kernel := range map[string][]byte{"no bzImage": []byte("kernel"), "no PVH": unentered} {
		s := newFixture(t, &fakeBuilder{system: withKernel(t, kernel)})
		image, err := s.BuildImage(t.Context(), "i", banger.ImageRecipe{}, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files, err := s.Files(t.Context(), image.ID)
		if err != nil || filepath.Base(files.Kernel) != "vmlinuz" {
			t.Errorf("%s: it boots %s, %v", name, files.Kernel, err)
		}
		if left, _ := filepath.Glob(filepath.Join(s.Paths.Image(image.ID), "vmlinux*")); len(left) > 0 {
			t.Errorf("%s: %v are left", name, left)
		}
	}
}
