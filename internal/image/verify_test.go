//go:build !unit

package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger"
)

func TestVerify_SeesAByteThatSizesDoNotTell(t *testing.T) {
	f, _ := newFakeFixture(t)
	image := f.mustBuild(t, "default", banger.ImageRecipe{})
	if err := f.Verify(t.Context(), image.ID); err != nil {
		t.Fatalf("an image as it was built: %v", err)
	}
	file := filepath.Join(f.Paths.Image(image.ID), rootName)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Files(t.Context(), image.ID); err != nil {
		t.Errorf("the sizes are those of before, and yet: %v", err)
	}
	err = f.Verify(t.Context(), image.ID)
	if banger.CodeOf(err) != banger.CodeCorrupt || !strings.Contains(err.Error(), rootName) {
		t.Errorf("an image with another byte: %v", err)
	}
}
