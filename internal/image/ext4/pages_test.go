package ext4

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"banger/internal/ext4fs"
)

// countedImage counts how often it is read.
type countedImage struct {
	io.ReaderAt
	reads atomic.Int64
}

// ReadAt implements io.ReaderAt.
func (c *countedImage) ReadAt(p []byte, off int64) (int, error) {
	c.reads.Add(1)
	return c.ReaderAt.ReadAt(p, off)
}

// A machine may have had 10,000 sessions, each in a directory of its own.
func TestPages_ASmallDirectoryWithItsFilesIsFewReads(t *testing.T) {
	const dirs, files = 200, 7
	root := t.TempDir()
	for d := range dirs {
		dir := filepath.Join(root, fmt.Sprint("dir", d))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for f := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file", f)), []byte("content"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "image")
	if out, err := exec.Command("/usr/sbin/mkfs.ext4", "-q", "-F", "-b", "4096", "-d", root, path, "64M").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	image, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	counted := &countedImage{ReaderAt: image}
	fsys, err := ext4fs.Open(&pages{image: counted})
	if err != nil {
		t.Fatal(err)
	}
	for d := range dirs {
		dir, err := fs.Sub(fsys, fmt.Sprint("dir", d))
		if err != nil {
			t.Fatal(err)
		}
		for f := range files {
			name := fmt.Sprint("file", f)
			if _, err := fs.Stat(dir, name); err != nil {
				t.Fatal(err)
			}
			if content, err := fs.ReadFile(dir, name); err != nil || string(content) != "content" {
				t.Fatalf("%q: %v", content, err)
			}
		}
	}
	// Each has a block, and each file one; the rest is inodes, and the names of all.
	if n := counted.reads.Load(); n > dirs*(files+3) {
		t.Errorf("%d directories of %d files are %d reads", dirs, files, n)
	}
}
