package ext4fs_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"

	"banger/internal/ext4fs"
)

// fromTar returns an image of entries.
func fromTar(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range entries {
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := tar2ext4.ConvertTarToExt4(&archive, f); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestAttr_SaysWhatTheInodeHolds(t *testing.T) {
	long := strings.Repeat("far/", 30) + "away"
	many := map[string]string{"SCHILY.xattr.user.long": strings.Repeat("x", 900), "SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00"}
	fsys := open(t, fromTar(t,
		tar.Header{Name: "dir", Typeflag: tar.TypeDir, Mode: 0o2750, Uid: 70000, Gid: 80000, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.opaque": "y"}},
		tar.Header{Name: "dir/ping", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 1, PAXRecords: many},
		tar.Header{Name: "dir/pong", Typeflag: tar.TypeLink, Linkname: "dir/ping"},
		tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3},
		tar.Header{Name: "gone", Typeflag: tar.TypeChar},
		tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Mode: 0o660, Devmajor: 259, Devminor: 4000},
		tar.Header{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o600},
		tar.Header{Name: "near", Typeflag: tar.TypeSymlink, Linkname: "dir/ping", Mode: 0o777},
		tar.Header{Name: "far", Typeflag: tar.TypeSymlink, Linkname: long, Mode: 0o777},
	))
	for _, want := range []struct {
		path         string
		mode         fs.FileMode
		links        int
		uid, gid     uint32
		major, minor uint32
		xattrs       map[string]string
		target       string
	}{
		{path: "dir", mode: fs.ModeDir | fs.ModeSetgid | 0o750, links: 2, uid: 70000, gid: 80000, xattrs: map[string]string{"trusted.overlay.opaque": "y"}},
		{path: "dir/ping", mode: fs.ModeSetuid | 0o755, links: 2, uid: 1, xattrs: map[string]string{"user.long": many["SCHILY.xattr.user.long"], "security.capability": many["SCHILY.xattr.security.capability"]}},
		{path: "null", mode: fs.ModeDevice | fs.ModeCharDevice | 0o666, links: 1, major: 1, minor: 3},
		{path: "gone", mode: fs.ModeDevice | fs.ModeCharDevice, links: 1},
		{path: "disk", mode: fs.ModeDevice | 0o660, links: 1, major: 259, minor: 4000},
		{path: "pipe", mode: fs.ModeNamedPipe | 0o600, links: 1},
		{path: "near", mode: fs.ModeSymlink | 0o777, links: 1, target: "dir/ping"},
		{path: "far", mode: fs.ModeSymlink | 0o777, links: 1, target: long},
	} {
		info, err := fs.Stat(fsys, want.path)
		if err != nil {
			t.Error(err)
			continue
		}
		a := info.Sys().(ext4fs.Attr)
		uid, gid := a.Owner()
		major, minor := a.Device()
		if info.Mode() != want.mode || a.Links() != want.links || uid != want.uid || gid != want.gid || major != want.major || minor != want.minor {
			t.Errorf("%s: %v, %d links, owner %d:%d, device %d:%d; want %+v", want.path, info.Mode(), a.Links(), uid, gid, major, minor, want)
		}
		xattrs, err := a.Xattrs()
		got := map[string]string{}
		for name, value := range xattrs {
			got[name] = string(value)
		}
		if err != nil || !maps.Equal(got, want.xattrs) {
			t.Errorf("%s has the attributes %q, want %q: %v", want.path, got, want.xattrs, err)
		}
		if target, err := a.Target(); target != want.target || (err == nil) != (want.target != "") {
			t.Errorf("%s leads to %q, want %q: %v", want.path, target, want.target, err)
		}
	}
	one, other := stat(t, fsys, "dir/ping"), stat(t, fsys, "dir/pong")
	if one.Inode() != other.Inode() || one.Inode() == stat(t, fsys, "null").Inode() {
		t.Error("hard links have one inode, and nothing else has it")
	}
}

func stat(t *testing.T, fsys fs.FS, path string) ext4fs.Attr {
	t.Helper()
	info, err := fs.Stat(fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(ext4fs.Attr)
}

// An image whose attributes were damaged at random gives an error or attributes, and never
// more than there can be.
func TestAttr_OfADamagedImageEnds(t *testing.T) {
	image := fromTar(t, tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o644, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "one", "SCHILY.xattr.user.b": strings.Repeat("two", 300)}})
	at := bytes.Index(image, []byte{0, 0, 2, 0xEA})
	for at < 0 {
		t.Fatal("the image has no attributes")
	}
	for from := range 64 {
		for _, value := range []byte{0, 1, 0x7F, 0xFF} {
			damaged := slices.Clone(image)
			damaged[at+from] = value
			attr := stat(t, open(t, damaged), "f")
			if xattrs, err := attr.Xattrs(); err == nil && len(xattrs) > 16 {
				t.Errorf("byte %d is %#x: %d attributes", from, value, len(xattrs))
			}
		}
	}
	if xattrs, err := stat(t, open(t, image), "f").Xattrs(); err != nil || !reflect.DeepEqual(len(xattrs), 2) {
		t.Errorf("unharmed it has %q: %v", xattrs, err)
	}
}
