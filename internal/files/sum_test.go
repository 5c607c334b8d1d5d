package files_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"banger/internal/files"
)

func TestSHA256_IsThatOfTheContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for content, want := range map[string]string{ // as FIPS 180-2 and sha256sum(1) have them
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if sum, size, err := files.SHA256(path); sum != want || size != int64(len(content)) || err != nil {
			t.Errorf("of %q: %s, %d bytes, %v", content, sum, size, err)
		}
	}
}

func TestSHA256_OfWhatCannotBeReadIsNone(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]error{filepath.Join(dir, "none"): fs.ErrNotExist, dir: syscall.EISDIR} {
		if sum, _, err := files.SHA256(path); sum != "" || !errors.Is(err, want) {
			t.Errorf("of %s: %q, %v", path, sum, err)
		}
	}
}
