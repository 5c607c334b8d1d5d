package ext4fs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"banger/internal/ext4fs"
)

// makeImage makes an ext4 image with the files of a directory.
func makeImage(t testing.TB, dir string, mib int, flags ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	args := append([]string{"-q", "-F", "-t", "ext4", "-d", dir}, flags...)
	mkfs := exec.Command("/usr/sbin/mkfs.ext4", append(args, path, fmt.Sprintf("%dM", mib))...)
	if out, err := mkfs.CombinedOutput(); err != nil {
		t.Fatalf("cannot make an image (package e2fsprogs): %v\n%s", err, out)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func open(t testing.TB, image []byte) *ext4fs.FS {
	t.Helper()
	fsys, err := ext4fs.Open(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

// makeTree makes files of all kinds that matter.
func makeTree(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755))
	check(os.WriteFile(filepath.Join(dir, "a/b/c/small"), []byte("hello\n"), 0o640))
	check(os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600))
	check(os.Mkdir(filepath.Join(dir, "many"), 0o755))
	for n := range 300 { // enough for an index
		check(os.WriteFile(filepath.Join(dir, "many", fmt.Sprintf("file with a long name to fill blocks %d", n)), nil, 0o600))
	}
	random := rand.New(rand.NewPCG(5, 6))
	big := make([]byte, 300<<10+77)
	for i := range big {
		big[i] = byte(random.Uint32())
	}
	check(os.WriteFile(filepath.Join(dir, "big"), big, 0o600))
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	check(err)
	for n := range 400 { // every second block: more extents than fit the inode
		_, err := sparse.WriteAt(fmt.Appendf(nil, "block %d", n), int64(n)*8192)
		check(err)
	}
	check(sparse.Truncate(4 << 20))
	check(sparse.Close())
	return dir
}

func TestFS_HasWhatTheFolderHad(t *testing.T) {
	dir := makeTree(t)
	kinds := map[string][]string{
		"as made by default": nil, "small blocks": {"-b", "1024"}, "32 bits": {"-O", "^64bit"}, "no checksums": {"-O", "^metadata_csum"},
	}
	if testing.Short() {
		kinds = map[string][]string{"as made by default": nil}
	}
	for name, flags := range kinds {
		t.Run(name, func(t *testing.T) {
			fsys := open(t, makeImage(t, dir, 64, flags...))
			var seen int
			err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				want, err := os.ReadFile(filepath.Join(dir, path))
				if err != nil {
					return err
				}
				got, err := fs.ReadFile(fsys, path)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, want %d: %v", path, len(got), len(want), err)
				}
				if got, want := modTime(t, fsys, path), modTime(t, os.DirFS(dir), path); !got.Equal(want) && !got.Equal(want.Truncate(time.Second)) {
					t.Errorf("%s was changed at %v, want %v", path, got, want)
				}
				seen++
				return nil
			})
			if err != nil || seen < 300 {
				t.Errorf("%d files: %v", seen, err)
			}
			if flags != nil {
				return
			}
			for folder, file := range map[string]string{"a": "b/c/small", "many": "file with a long name to fill blocks 7"} {
				part, err := fs.Sub(fsys, folder)
				if err == nil {
					err = fstest.TestFS(part, file)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func modTime(t *testing.T, fsys fs.FS, path string) time.Time {
	t.Helper()
	info, err := fs.Stat(fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// debugfs(8) writes the times that mkfs.ext4 leaves out.
func TestFS_TimesHaveNanosecondsAndGoBeyond2038(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, makeImage(t, dir, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	set := exec.Command("/usr/sbin/debugfs", "-w", "-R", "set_inode_field f mtime_extra "+fmt.Sprint(123456789<<2|1), image)
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("cannot change the image (package e2fsprogs): %v\n%s", err, out)
	}
	changed, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	before, after := modTime(t, os.DirFS(dir), "f"), modTime(t, open(t, changed), "f")
	if want := time.Unix(before.Unix()+1<<32, 123456789); !after.Equal(want) {
		t.Errorf("it was changed at %v, want %v", after, want)
	}
}

func TestFS_ReadsAnyPartOfAFile(t *testing.T) {
	dir := makeTree(t)
	fsys := open(t, makeImage(t, dir, 64))
	want, err := os.ReadFile(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Open("sparse")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	random := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		off, p := random.Int64N(5<<20), make([]byte, random.IntN(30_000))
		n, err := f.(io.ReaderAt).ReadAt(p, off)
		left := max(0, min(int64(len(p)), int64(len(want))-off))
		if int64(n) != left || left > 0 && !bytes.Equal(p[:n], want[off:off+left]) || (n < len(p)) != errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes at %d: %d, %v", len(p), off, n, err)
		}
	}
}

func TestFS_TellsWhereTheDataOfAFileBegins(t *testing.T) {
	dir := t.TempDir()
	const size = 1 << 20
	want := map[string]int64{"big": 0, "late": 300 << 10, "only a hole": size}
	for name, at := range want {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil && at < size {
			_, err = f.WriteAt([]byte("data"), at)
		}
		if err := errors.Join(err, f.Truncate(size), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	fsys := open(t, makeImage(t, dir, 64))
	for name, at := range want {
		f, err := fsys.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.(interface{ FirstData() (int64, error) }).FirstData(); got != at || err != nil {
			t.Errorf("%s begins at %d, %v, want %d", name, got, err, at)
		}
	}
}

func TestFS_LinksAndOthersAreToldAndNotFollowed(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Symlink("/etc/passwd", filepath.Join(dir, "link")), os.Symlink("..", filepath.Join(dir, "up"))); err != nil {
		t.Fatal(err)
	}
	fsys := open(t, makeImage(t, dir, 8))
	info, err := fs.Stat(fsys, "link")
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v", info, err)
	}
	for _, name := range []string{"link", "up/etc/passwd", "../etc/passwd", "/etc/passwd", "none"} {
		if f, err := fsys.Open(name); err == nil {
			t.Errorf("%s is opened: %v", name, f)
		}
	}
}

func TestOpen_SaysThatTheJournalIsToBeReplayed(t *testing.T) {
	image := makeImage(t, t.TempDir(), 8)
	const incompat = 1024 + 96
	binary.LittleEndian.PutUint32(image[incompat:], binary.LittleEndian.Uint32(image[incompat:])|4)
	if _, err := ext4fs.Open(bytes.NewReader(image)); !errors.Is(err, ext4fs.ErrJournal) {
		t.Errorf("it opens with %v", err)
	}
}

// FuzzFS changes an image anywhere. It may be refused; nothing worse may happen.
func FuzzFS(f *testing.F) {
	dir := f.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o755), os.WriteFile(filepath.Join(dir, "d/file"), make([]byte, 20_000), 0o600)); err != nil {
		f.Fatal(err)
	}
	image := makeImage(f, dir, 1, "-O", "^has_journal", "-b", "1024", "-N", "16")
	for _, at := range []uint32{1024, 1024 + 88, 2048, 2048 + 8, 6 << 10, 8 << 10} {
		f.Add(at, []byte{0xff, 0xff, 0xff, 0x7f})
	}
	f.Fuzz(func(t *testing.T, at uint32, change []byte) {
		damaged := bytes.Clone(image)
		copy(damaged[int(at)%len(damaged):], change)
		fsys, err := ext4fs.Open(bytes.NewReader(damaged))
		if err != nil {
			return
		}
		seen := 0
		_ = fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
			if seen++; err != nil || seen > 100 { // directories may hold themselves
				return fs.SkipAll
			}
			if file, err := fsys.Open(path); err == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(file, 1<<20))
				if regular, ok := file.(interface{ FirstData() (int64, error) }); ok {
					info, _ := file.Stat()
					if at, err := regular.FirstData(); err == nil && (at < 0 || at > info.Size()) {
						t.Errorf("%s of %d bytes begins at %d", path, info.Size(), at)
					}
				}
				_ = file.Close()
			}
			return nil
		})
	})
}

// countingReader counts reads.
type countingReader struct {
	io.ReaderAt
	reads int
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	r.reads++
	return r.ReaderAt.ReadAt(p, off)
}

// Who looks up each of many names does not read the directory for each: the end of a
// machine with 10,000 sessions looks up all of them.
func TestFS_LookingUpEachNameReadsADirectoryOnce(t *testing.T) {
	dir := t.TempDir()
	const files = 1000
	if err := os.Mkdir(filepath.Join(dir, "many"), 0o755); err != nil {
		t.Fatal(err)
	}
	for n := range files {
		if err := os.WriteFile(filepath.Join(dir, "many", fmt.Sprintf("file with a long name to fill blocks %d", n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image := &countingReader{ReaderAt: bytes.NewReader(makeImage(t, dir, 64))}
	fsys, err := ext4fs.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	many, err := fs.Sub(fsys, "many")
	if err != nil {
		t.Fatal(err)
	}
	for n := range files {
		if _, err := fs.Stat(many, fmt.Sprintf("file with a long name to fill blocks %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fs.Stat(many, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that is not there: %v", err)
	}
	if most := 3 * files; image.reads > most { // an inode takes two
		t.Errorf("%d files take %d reads, want %d at most", files, image.reads, most)
	}
}
