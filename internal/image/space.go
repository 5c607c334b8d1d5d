package image

import (
	"fmt"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/diskspace"
)

// space is what a build takes, in bytes, at its peak.
type space struct {
	image   int64 // in the directory of images
	scratch int64 // in the directory of temporary files
}

// usualSpace is that of a system without further packages, measured, and a fifth
// more: 435 MiB of file system and 155 MiB of kernel and modules; 630 MiB of
// temporary files.
func usualSpace() space { return space{image: 710 << 20, scratch: 760 << 20} }

// check refuses a build for which there is no room beside the images. With further packages
// it may turn out too little all the same.
func (s space) check(images string) error {
	scratch := scratchParent()
	need := map[string]int64{images: s.image, scratch: s.scratch}
	same, err := sameFileSystem(images, scratch)
	if err != nil {
		return err
	}
	if same {
		need = map[string]int64{images: s.image + s.scratch}
	}
	for dir, bytes := range need {
		there, err := diskspace.Of(dir)
		if err != nil {
			return err
		}
		if there.Free < bytes {
			return diskFull("build", fmt.Sprintf("directory %s has %s free and needs %s", dir, mebibytes(there.Free), mebibytes(bytes)))
		}
	}
	return nil
}

// explain makes an error of a full disk one that says what to do.
func (s space) explain(images string, err error) error {
	if !diskspace.IsFull(err) {
		return err
	}
	return diskFull("build", fmt.Sprintf("%v; even a build without further packages needs %s in %s and %s in %s",
		err, mebibytes(s.image), images, mebibytes(s.scratch), scratchParent()))
}

// explainFull is the same for what needs nobody knows how much.
func explainFull(verb, dir string, err error) error {
	if !diskspace.IsFull(err) {
		return err
	}
	return diskFull(verb, fmt.Sprintf("%v, in %s", err, dir))
}

func diskFull(verb, detail string) error {
	return banger.Errorf(banger.CodeMissing, "cannot %s image: the host's disk is full: %s", verb, detail).
		WithHint("free some space (banger image prune --dry-run shows what images can go), or set XDG_DATA_HOME and TMPDIR to other directories")
}

func sameFileSystem(a, b string) (bool, error) {
	var sa, sb unix.Stat_t
	if err := unix.Stat(a, &sa); err != nil {
		return false, fmt.Errorf("cannot inspect directory %s: %w", a, err)
	}
	if err := unix.Stat(b, &sb); err != nil {
		return false, fmt.Errorf("cannot inspect directory %s: %w", b, err)
	}
	return sa.Dev == sb.Dev, nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
