package ext4

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger"
)

// longName is as long as a name may be, and not ASCII.
var longName = strings.Repeat("ő", 127) + "x"

// capNetRaw is security.capability with cap_net_raw=ep (capabilities(7)).
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// testTar returns a stream with one of each thing that Debian's tars hold.
func testTar(t *testing.T) []byte {
	t.Helper()
	at := time.Unix(1686355200, 0)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, data string) {
		h.Format, h.ModTime, h.Size = tar.FormatPAX, at, int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	add(tar.Header{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	add(tar.Header{Name: "./bin/su", Mode: 0o4755}, "setuid")
	add(tar.Header{Name: "./bin/wall", Mode: 0o2755, Gid: 5}, "setgid")
	add(tar.Header{Name: "./bin/su2", Typeflag: tar.TypeLink, Linkname: "./bin/su"}, "")
	add(tar.Header{Name: "./bin/ping", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capNetRaw}}, "ping")
	add(tar.Header{Name: "./tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, "")
	add(tar.Header{Name: "./home", Mode: 0o640, Uid: 100000, Gid: 70000}, "owned")
	add(tar.Header{Name: "./null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}, "")
	add(tar.Header{Name: "./link", Typeflag: tar.TypeSymlink, Linkname: "bin/su"}, "")
	add(tar.Header{Name: "./far", Typeflag: tar.TypeSymlink, Linkname: "/" + strings.Repeat("long/", 40)}, "")
	add(tar.Header{Name: "./" + longName, Mode: 0o644}, "long name")
	add(tar.Header{Name: "./big", Mode: 0o644}, strings.Repeat("0123456789abcdef", 1<<16))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b.Write(make([]byte, 64<<10)) // padding, as tar(1) and pipes have it
	return b.Bytes()
}

func fromTar(t *testing.T, stream []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.ext4")
	r := bytes.NewReader(stream)
	if err := FromTar(r, path); err != nil {
		t.Fatal(err)
	}
	if r.Len() != 0 {
		t.Errorf("%d bytes of the stream were not read", r.Len())
	}
	return path
}

// debugfs runs one command on a file system; it exits 0 whatever happens.
func debugfs(t *testing.T, image, command string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/sbin/debugfs", "-R", command, image).CombinedOutput()
	if err != nil {
		t.Fatalf("debugfs %s: %v: %s", command, err, out)
	}
	return string(out)
}

// check runs e2fsck, which changes nothing and must complain of nothing but
// what is allowed.
func check(t *testing.T, image, allowed string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/sbin/e2fsck", "-fn", image).CombinedOutput()
	if err == nil {
		return
	}
	complaints := string(out)
	for line := range strings.Lines(complaints) {
		harmless := strings.HasPrefix(line, "e2fsck ") || strings.HasPrefix(line, "Pass ") || strings.Contains(line, image)
		if line = strings.TrimSpace(line); line != "" && !harmless && (allowed == "" || line != allowed) {
			t.Errorf("e2fsck complains: %s", complaints)
			return
		}
	}
}

// bitmapPadding is about bits that stand for no inode; kernels ignore them in a
// file system that is never written.
const bitmapPadding = "Padding at end of inode bitmap is not set. Fix? no"

func TestFromTar_KeepsWhatTheStreamSays(t *testing.T) {
	image := fromTar(t, testTar(t))
	check(t, image, bitmapPadding)
	for _, c := range []struct{ command, want string }{
		{"stat /bin/su", "Mode:  04755"},
		{"stat /bin/su", "Links: 2"},
		{"stat /bin/su", "mtime: 0x6483bd00"},
		{"stat /bin/wall", "Mode:  02755"},
		{"stat /bin/wall", "Group:     5"},
		{"stat /tmp", "Mode:  01777"},
		{"stat /home", "User: 100000   Group: 70000"},
		{"stat /null", "Type: character special    Mode:  0666"},
		{"stat /null", "01:03"},
		{"stat /link", `Fast link dest: "bin/su"`},
		{"cat /far", strings.Repeat("long/", 40)},
		{"cat /bin/su2", "setuid"},
		{"cat /" + longName, "long name"},
		{"ea_get -V /bin/ping security.capability", capNetRaw},
		{"show_super_stats -h", "read-only"},
	} {
		if got := debugfs(t, image, c.command); !strings.Contains(got, c.want) {
			t.Errorf("%s says %q, want %q in it", c.command, got, c.want)
		}
	}
	if got := debugfs(t, image, "cat /big"); !strings.HasSuffix(got, strings.Repeat("0123456789abcdef", 1<<16)) {
		t.Errorf("big file has %d bytes and not the ones that were written", len(got))
	}
}

// What a file system needs for many files is counted by files, not by bytes.
func TestFromTar_HoldsAnyNumberOfEmptyFiles(t *testing.T) {
	const count = 21_000
	var stream bytes.Buffer
	w := tar.NewWriter(&stream)
	for n := range count {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("d%d/f%d", n%7, n), Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	image := fromTar(t, stream.Bytes())
	check(t, image, bitmapPadding)
	for _, name := range []string{"d0/f0", fmt.Sprintf("d%d/f%d", (count-1)%7, count-1)} {
		if got := debugfs(t, image, "stat /"+name); !strings.Contains(got, "Type: regular") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := strings.Count(debugfs(t, image, "ls -p /d3"), "/f"); got != count/7 {
		t.Errorf("a directory has %d files, want %d", got, count/7)
	}
}

func TestFromTar_EqualStreamsMakeEqualFiles(t *testing.T) {
	stream := testTar(t)
	a, err := os.ReadFile(fromTar(t, stream))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(fromTar(t, stream))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two file systems of one stream differ")
	}
}

func TestFromTar_RefusesAStreamThatIsCut(t *testing.T) {
	stream := testTar(t)
	if err := FromTar(bytes.NewReader(stream[:len(stream)/2]), filepath.Join(t.TempDir(), "root")); err == nil {
		t.Error("half a stream made a file system")
	}
}

func TestNewDisk_IsEmptySparseAndSound(t *testing.T) {
	for _, size := range []int{banger.MinDiskMiB, banger.DefaultDiskMiB} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := NewDisk(t.Context(), path, size, "work"); err != nil {
			t.Fatal(err)
		}
		check(t, path, "")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != int64(size)<<20 || info.Mode().Perm() != 0o600 {
			t.Errorf("disk of %d MiB has %d bytes, mode %v", size, info.Size(), info.Mode())
		}
		if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 8<<20 {
			t.Errorf("an empty disk of %d MiB takes %d bytes", size, used)
		}
		// Else the guest's kernel would write all inode tables after its first boot.
		if super := debugfs(t, path, "show_super_stats"); !strings.Contains(super, "ITABLE_ZEROED") && !strings.Contains(super, "Inode not init") {
			t.Errorf("inode tables are not marked as zeroed:\n%s", super)
		}
		if super := debugfs(t, path, "show_super_stats -h"); !strings.Contains(super, "work") || !strings.Contains(super, "has_journal") {
			t.Errorf("disk lacks its label or a journal:\n%s", super)
		}
	}
}

func TestNewDisk_NeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewDisk(t.Context(), path, 64, "work"); banger.CodeOf(err) != banger.CodeExists {
		t.Errorf("NewDisk over a file: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "precious" {
		t.Errorf("the file is %q, %v", data, err)
	}
}

func TestNewDisk_RefusesSizesThatCannotWork(t *testing.T) {
	for _, size := range []int{-1, 0, banger.MinDiskMiB - 1, banger.MaxDiskMiB + 1} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := NewDisk(t.Context(), path, size, "work"); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%d MiB: %v", size, err)
		}
	}
}

func TestNewDisk_LeavesNothingWhenItIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user went home")
	cancel(cause)
	dir := t.TempDir()
	if err := NewDisk(ctx, filepath.Join(dir, "disk"), 64, "work"); !errors.Is(err, cause) {
		t.Errorf("cancelled NewDisk: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNewDisk_FindsMkfsOutsideOfPATH(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := NewDisk(t.Context(), filepath.Join(t.TempDir(), "disk"), 64, "work"); err != nil {
		t.Error(err)
	}
	var missing *banger.Error
	if _, err := findProgram("mkfs.none"); !errors.As(err, &missing) || missing.Code != banger.CodeMissing || !strings.Contains(missing.Hint, "e2fsprogs") {
		t.Errorf("a missing program: %v", fmt.Sprint(err, missing))
	}
}
