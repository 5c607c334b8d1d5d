package diskspace

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSpace_IsCountedInFragments(t *testing.T) {
	for _, c := range []struct {
		fs   unix.Statfs_t
		want Space
	}{
		{unix.Statfs_t{Bsize: 1 << 20, Frsize: 4096, Bavail: 10, Bfree: 20, Blocks: 30, Ffree: 5, Files: 6}, Space{40960, 122880, 5, 6}},
		{unix.Statfs_t{Bsize: 512, Bavail: 10, Blocks: 30}, Space{Free: 5120, Total: 15360}},
		{unix.Statfs_t{Frsize: 4096, Bavail: 1 << 60, Blocks: math.MaxUint64}, Space{Free: math.MaxInt64, Total: math.MaxInt64}},
	} {
		if got := spaceOf(&c.fs); got != c.want {
			t.Errorf("%+v has %+v, not %+v", c.fs, got, c.want)
		}
	}
}

func TestSpace_OfAFileIsThatOfItsDirectory(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	there, err := Of(dir)
	if err != nil {
		t.Fatal(err)
	}
	if here, err := OfFile(f); err != nil || here.Total != there.Total || here.Total == 0 || there.Free == 0 || there.Free > there.Total {
		t.Errorf("%+v in the directory, %+v of the file, %v", there, here, err)
	}
	if _, err := Of(filepath.Join(dir, "missing")); err == nil {
		t.Error("a directory that does not exist has space")
	}
}
