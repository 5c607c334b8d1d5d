package transfer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCopy_KeepsWhatATreeIs(t *testing.T) {
	bothWays(t, func(t *testing.T, cp func(string, string, Request) (Result, error)) {
		from, to := filepath.Join(t.TempDir(), "tree"), t.TempDir()
		write(t, from+"/a", "1")
		write(t, from+"/dir/b", strings.Repeat("x", 300_000))
		write(t, from+"/dir/read only/c", "")
		write(t, from+"/\xff\n\x1b[31m", "not text")
		old := time.Unix(-5, 7)
		must(t, os.Link(from+"/a", from+"/dir/same as a"), os.Symlink("../nowhere", from+"/dir/link"), os.Mkdir(from+"/empty", 0o711),
			os.Chmod(from+"/a", 0o4751), os.Chmod(from+"/dir/read only", 0o555), os.Chtimes(from+"/a", old, old), os.Chtimes(from+"/dir", old, old))
		xattrs := unix.Setxattr(from+"/dir/b", "user.test", []byte("v\x00"), 0) == nil
		result, err := cp(from, to, Request{})
		if err != nil || len(result.Problems) > 0 || result.Files != 4 {
			t.Fatalf("%+v, %v", result, err)
		}
		if got, want := listing(t, to+"/tree"), listing(t, from); got != want {
			t.Errorf("the copy is\n%s\nnot\n%s", got, want)
		}
		for name, mode := range map[string]os.FileMode{"a": 0o751, "dir/read only": 0o555 | os.ModeDir, "empty": 0o711 | os.ModeDir} {
			if info, err := os.Stat(filepath.Join(to, "tree", name)); err != nil || info.Mode() != mode {
				t.Errorf("%s has mode %s, %v", name, info.Mode(), err)
			}
		}
		for _, name := range []string{"a", "dir"} {
			if info, err := os.Stat(filepath.Join(to, "tree", name)); err != nil || !info.ModTime().Equal(old) {
				t.Errorf("%s is of %s, %v", name, info.ModTime(), err)
			}
		}
		value := make([]byte, 9)
		if n, err := unix.Getxattr(to+"/tree/dir/b", "user.test", value); xattrs && (err != nil || string(value[:n]) != "v\x00") {
			t.Errorf("its extended attribute is %q, %v", value[:max(n, 0)], err)
		}
	})
}

// Owners, and the bits that make a program another user's, are kept only if they are asked for.
func TestCopy_KeepsOwnersOnlyWithArchive(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("only root can change owners")
	}
	bothWays(t, func(t *testing.T, cp func(string, string, Request) (Result, error)) {
		from, to := write(t, filepath.Join(t.TempDir(), "f"), "x"), t.TempDir()
		must(t, os.Chown(from, 1234, 5678), os.Chmod(from, 0o755|os.ModeSetuid))
		for owners, want := range map[bool][3]uint32{false: {0, 0, 0o755}, true: {1234, 5678, 0o4755}} {
			if _, err := cp(from, to, Request{Owners: owners}); err != nil {
				t.Fatal(err)
			}
			var st unix.Stat_t
			must(t, unix.Stat(to+"/f", &st))
			if got := [3]uint32{st.Uid, st.Gid, st.Mode & 0o7777}; got != want {
				t.Errorf("with archive %t: %o, not %o", owners, got, want)
			}
		}
	})
}

// A file of 20 GiB with three pieces of data, one at its end, and one that is only a hole.
func TestCopy_LeavesHolesAsTheyAre(t *testing.T) {
	bothWays(t, func(t *testing.T, cp func(string, string, Request) (Result, error)) {
		from, to := filepath.Join(t.TempDir(), "d"), t.TempDir()
		must(t, os.Mkdir(from, 0o755))
		const size = 20 << 30
		for name, islands := range map[string][]int64{"islands": {4096, 7 << 30, size - 4096}, "hole": {}, "trailing": {8192}} {
			f, err := os.Create(filepath.Join(from, name))
			must(t, err, f.Truncate(size))
			for _, at := range islands {
				_, err := f.WriteAt([]byte(strings.Repeat("y", 4096)), at)
				must(t, err)
			}
			must(t, f.Close())
		}
		if result, err := cp(from, to, Request{}); err != nil || len(result.Problems) > 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		for _, name := range []string{"islands", "hole", "trailing"} {
			var st unix.Stat_t
			must(t, unix.Stat(filepath.Join(to, "d", name), &st))
			if st.Size != size || st.Blocks*512 > 1<<20 {
				t.Errorf("%s has %d bytes, which take %d", name, st.Size, st.Blocks*512)
			}
		}
		f, err := os.Open(to + "/d/islands")
		must(t, err)
		defer f.Close()
		for _, at := range []int64{4096, 7 << 30, size - 4096} {
			b := make([]byte, 4096)
			if _, err := f.ReadAt(b, at); err != nil || string(b) != strings.Repeat("y", 4096) {
				t.Errorf("at %d: %.10q, %v", at, b, err)
			}
		}
	})
}

// Devices, FIFOs and sockets are named and not waited for; nor is what its user cannot read.
func TestCopy_NamesWhatItCannotCopyAndCopiesTheRest(t *testing.T) {
	bothWays(t, func(t *testing.T, cp func(string, string, Request) (Result, error)) {
		from, to := filepath.Join(t.TempDir(), "d"), t.TempDir()
		write(t, from+"/sub/good", "1")
		must(t, unix.Mkfifo(from+"/sub/fifo", 0o600), unix.Mknod(from+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		result, err := cp(from, to, Request{})
		if err != nil || listing(t, to) != "d/\nd/sub/\nd/sub/good \"1\"" {
			t.Errorf("%v, with\n%s", err, listing(t, to))
		}
		named := map[string]bool{}
		for _, p := range result.Problems {
			named[string(p.Path)] = strings.Contains(p.Message, "not copied")
		}
		if len(named) != 2 || !named["sub/fifo"] || !named["null"] {
			t.Errorf("the problems are %+v", result.Problems)
		}
		if _, err := cp(from+"/sub/fifo", to, Request{}); err == nil || !strings.Contains(err.Error(), "FIFO") {
			t.Errorf("a FIFO alone: %v", err)
		}
		if _, err := cp(from+"/none", to, Request{}); codeOf(err) != "not_found" {
			t.Errorf("what is not there: %v", err)
		}
		if _, err := cp("/proc/self/status", to, Request{}); err == nil || !strings.Contains(err.Error(), "size is not known") {
			t.Errorf("a file of the kernel: %v", err)
		}
	})
}

// What goes into a directory that is there leaves the rest of it, and its attributes, alone.
func TestCopy_MergesIntoADirectory(t *testing.T) {
	bothWays(t, func(t *testing.T, cp func(string, string, Request) (Result, error)) {
		from, to := filepath.Join(t.TempDir(), "d"), t.TempDir()
		write(t, from+"/sub/new", "new")
		write(t, from+"/sub/both", "source")
		must(t, os.Link(from+"/sub/both", from+"/sub/both too"), os.Symlink("new", from+"/sub/link"), os.Chmod(from, 0o700))
		for range 2 {
			write(t, to+"/d/sub/both", "target")
			write(t, to+"/d/sub/old", "old")
			outside := write(t, filepath.Join(t.TempDir(), "outside"), "outside")
			_ = os.Remove(to + "/d/sub/link")
			must(t, os.Symlink(outside, to+"/d/sub/link"))
			if result, err := cp(from, to, Request{}); err != nil || len(result.Problems) > 0 {
				t.Fatalf("%+v, %v", result, err)
			}
			want := "d/\nd/sub/\nd/sub/both \"source\"\nd/sub/both too \"source\" = d/sub/both\nd/sub/link -> new\nd/sub/new \"new\"\nd/sub/old \"old\""
			if got := listing(t, to); got != want {
				t.Errorf("it is\n%s\nnot\n%s", got, want)
			}
			if data, err := os.ReadFile(outside); err != nil || string(data) != "outside" {
				t.Errorf("what a link at the target leads to has become %q, %v", data, err)
			}
			if info, err := os.Stat(to + "/d"); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("the directory has mode %s, %v", info.Mode(), err)
			}
		}
	})
}

// A directory is not made of what is something else at the target, nor the other way round.
func TestCopy_RefusesToChangeWhatSomethingIs(t *testing.T) {
	bothWays(t, func(t *testing.T, cp func(string, string, Request) (Result, error)) {
		from, to := filepath.Join(t.TempDir(), "d"), t.TempDir()
		write(t, from+"/a/x", "1")
		write(t, from+"/b", "1")
		write(t, from+"/c/x", "1")
		elsewhere := t.TempDir()
		write(t, to+"/d/a", "a file")
		write(t, to+"/d/b/y", "in a directory")
		must(t, os.Symlink(elsewhere, to+"/d/c"))
		before := listing(t, to)
		result, err := cp(from, to, Request{})
		if err != nil || len(result.Problems) != 3 {
			t.Errorf("%+v, %v", result, err)
		}
		if got := listing(t, to) + listing(t, elsewhere); got != before {
			t.Errorf("it is\n%s\nnot\n%s", got, before)
		}
	})
}
