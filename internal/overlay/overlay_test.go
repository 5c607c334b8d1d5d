package overlay_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"banger/internal/overlay"
)

// host is a directory of the host, with what its inodes say.
type host struct {
	fs.FS
	dir string
}

func hostDir(dir string) host { return host{os.DirFS(dir), dir} }

func (h host) Stat(name string) (fs.FileInfo, error) {
	info, err := os.Lstat(filepath.Join(h.dir, name))
	return hostInfo{info, filepath.Join(h.dir, name)}, err
}

func (h host) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(filepath.Join(h.dir, name))
	for i, e := range entries {
		info, err := h.Stat(filepath.Join(name, e.Name()))
		if err != nil {
			return nil, err
		}
		entries[i] = fs.FileInfoToDirEntry(info)
	}
	return entries, err
}

type hostInfo struct {
	fs.FileInfo
	path string
}

func (i hostInfo) Sys() any { return i }

func (i hostInfo) Device() (major, minor uint32) {
	var st unix.Stat_t
	if err := unix.Lstat(i.path, &st); err != nil {
		panic(err)
	}
	return unix.Major(st.Rdev), unix.Minor(st.Rdev)
}

func (i hostInfo) Xattrs() (map[string][]byte, error) {
	value := make([]byte, 16)
	n, err := unix.Lgetxattr(i.path, overlay.OpaqueXattr, value)
	if err == unix.ENODATA {
		return nil, nil
	}
	return map[string][]byte{overlay.OpaqueXattr: value[:max(n, 0)]}, err
}

// What the kernel's overlayfs makes of random changes, layer upon layer, is what is read.
func TestFS_ReadsWhatTheKernelStacks(t *testing.T) {
	const stacks, layers, changes = 40, 5, 25
	for seed := range uint64(stacks) {
		random := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		var uppers []string // the lowest first
		for n := range layers {
			upper := filepath.Join(dir, fmt.Sprintf("layer%d", n))
			uppers = append(uppers, upper)
			merged := mount(t, dir, uppers)
			for range changes {
				change(t, random, merged)
			}
			want, got := walk(t, hostDir(merged)), walk(t, stack(uppers))
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, layer %d:\ngot\n%s\nwant\n%s", seed, n, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if err := unix.Unmount(merged, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// stack is what lies on one another, the lowest given first.
func stack(dirs []string) *overlay.FS {
	var layers []fs.StatFS
	for _, dir := range slices.Backward(dirs) {
		layers = append(layers, hostDir(dir))
	}
	return overlay.New(layers...)
}

// mount has the kernel stack directories, the last of which is new and takes the changes.
func mount(t *testing.T, dir string, dirs []string) (merged string) {
	t.Helper()
	merged = filepath.Join(dir, "merged")
	work := filepath.Join(dir, fmt.Sprintf("work%d", len(dirs)))
	empty := filepath.Join(dir, "empty")
	upper := dirs[len(dirs)-1]
	for _, d := range []string{merged, work, empty, upper} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lower := []string{empty}
	for _, d := range dirs[:len(dirs)-1] {
		lower = append([]string{d}, lower...)
	}
	options := "index=off,metacopy=off,redirect_dir=off,lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	return merged
}

// change changes a tree of few names, so that they meet. What cannot be done is not done.
func change(t *testing.T, random *rand.Rand, root string) {
	t.Helper()
	path := root
	for range 1 + random.IntN(3) {
		path = filepath.Join(path, string("abc"[random.IntN(3)]))
	}
	switch random.IntN(6) {
	case 0, 1:
		_ = os.Mkdir(path, 0o700|fs.FileMode(random.IntN(8)))
	case 2:
		_ = os.WriteFile(path, fmt.Appendf(nil, "%d", random.IntN(1000)), 0o600)
	case 3:
		_ = os.RemoveAll(path)
	case 4:
		_ = os.Symlink("a", path)
	case 5:
		if os.RemoveAll(path) == nil {
			_ = os.Mkdir(path, 0o755)
		}
	}
}

// walk lists what a file system holds.
func walk(t *testing.T, fsys fs.StatFS) (all []string) {
	t.Helper()
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := fsys.Stat(path)
		if err != nil {
			return err
		}
		listed, err := d.Info()
		if err != nil || listed.Mode() != info.Mode() {
			return fmt.Errorf("%s is listed as %v, and is %v: %w", path, listed.Mode(), info.Mode(), err)
		}
		line := fmt.Sprintf("%s %v", path, info.Mode())
		if info.Mode().IsRegular() {
			data, err := fs.ReadFile(fsys, path)
			if err != nil {
				return err
			}
			line += " " + string(data)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFS_IsAFileSystem(t *testing.T) {
	lower, upper := t.TempDir(), t.TempDir()
	for _, path := range []string{lower + "/both/one", lower + "/low/two", upper + "/both/three", upper + "/high/four"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(path), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fsys := overlay.New(hostDir(upper), hostDir(lower))
	if err := fstest.TestFS(fsys, "both/one", "both/three", "low/two", "high/four"); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]int{"both": 0, "both/three": 0, "both/one": 1, "low/two": 1} {
		if got, err := fsys.Layer(path); got != want || err != nil {
			t.Errorf("%s is in layer %d, want %d: %v", path, got, want, err)
		}
	}
}
