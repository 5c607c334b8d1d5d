package layer_test

import (
	"archive/tar"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"banger/internal/ext4fs"
)

func dir(name string, mode int64, uid int) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode, Uid: uid}
}

func reg(name, content string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Uname: content}
}

func hard(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
}

func soft(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}
}

// What people met in images of others, and with the tools of others.
func TestWrite_CasesOfImages(t *testing.T) {
	type entries = []tar.Header
	marker := func(name string) tar.Header { return reg(name, "") }
	for name, c := range map[string]struct {
		layers []entries
		want   []string
	}{
		"one name of three is replaced": {
			[]entries{{reg("a", "old"), hard("b", "a"), hard("c", "a")}, {reg("a", "new")}},
			[]string{"a -rw-r--r-- 0:0 new = a", "b -rw-r--r-- 0:0 old = b", "c -rw-r--r-- 0:0 old = b"},
		},
		"the name that carried the data is removed and given again": {
			[]entries{{reg("a", "old"), hard("z", "a")}, {marker(".wh.a")}, {reg("a", "new")}},
			[]string{"a -rw-r--r-- 0:0 new = a", "z -rw-r--r-- 0:0 old = z"},
		},
		"a link of a later layer": {
			[]entries{{reg("a", "old"), hard("b", "a")}, {hard("d/c", "a")}},
			[]string{"a -rw-r--r-- 0:0 old = a", "b -rw-r--r-- 0:0 old = a", "d drwxr-xr-x 0:0", "d/c -rw-r--r-- 0:0 old = a"},
		},
		"an opaque marker comes first": {
			[]entries{{dir("d", 0o755, 0), reg("d/old", "")}, {marker("d/.wh..wh..opq"), dir("d", 0o750, 7), reg("d/new", "x")}},
			[]string{"d drwxr-x--- 7:0", "d/new -rw-r--r-- 0:0 x = d/new"},
		},
		"an opaque marker comes last": {
			[]entries{{dir("d", 0o755, 0), reg("d/old", "")}, {dir("d", 0o750, 7), reg("d/new", "x"), marker("d/.wh..wh..opq")}},
			[]string{"d drwxr-x--- 7:0", "d/new -rw-r--r-- 0:0 x = d/new"},
		},
		"an opaque marker alone": {
			[]entries{{dir("d", 0o750, 7), reg("d/old", "")}, {marker("d/.wh..wh..opq")}},
			[]string{"d drwxr-x--- 7:0"},
		},
		"a marker that is a hard link": {
			[]entries{{reg("x", ""), reg("y", "")}, {marker(".wh.y"), hard(".wh.x", ".wh.y")}},
			nil,
		},
		"what AUFS keeps in its layers": {
			[]entries{{dir(".wh..wh.plnk", 0o700, 0), reg(".wh..wh.aufs", ""), reg("x", "1")}},
			[]string{"x -rw-r--r-- 0:0 1 = x"},
		},
		"a file for a symbolic link to a file": {
			[]entries{{reg("target", "1"), soft("x", "target")}, {reg("x", "2")}},
			[]string{"target -rw-r--r-- 0:0 1 = target", "x -rw-r--r-- 0:0 2 = x"},
		},
		"a symbolic link for a directory": {
			[]entries{{dir("x", 0o755, 0), reg("x/in", "1"), dir("y", 0o755, 0)}, {soft("x", "y")}},
			[]string{"x Lrwxrwxrwx 0:0 -> y", "y drwxr-xr-x 0:0"},
		},
		"a directory with files for a symbolic link": {
			[]entries{{dir("y", 0o755, 0), soft("x", "y")}, {dir("x", 0o755, 0), reg("x/in", "1")}},
			[]string{"x drwxr-xr-x 0:0", "x/in -rw-r--r-- 0:0 1 = x/in", "y drwxr-xr-x 0:0"},
		},
		"a directory with files for a file": {
			[]entries{{reg("x", "1"), hard("y", "x")}, {dir("x", 0o711, 2), reg("x/in", "2")}},
			[]string{"x drwx--x--x 2:0", "x/in -rw-r--r-- 0:0 2 = x/in", "y -rw-r--r-- 0:0 1 = y"},
		},
		"a file by way of a symbolic link below": {
			[]entries{{dir("usr/lib", 0o700, 3), soft("lib", "usr/lib"), soft("usr/lib64", "/lib")}, {reg("lib/one", "1"), reg("usr/lib64/two", "2")}},
			[]string{"lib Lrwxrwxrwx 0:0 -> usr/lib", "usr drwxr-xr-x 0:0", "usr/lib drwx------ 3:0", "usr/lib/one -rw-r--r-- 0:0 1 = usr/lib/one", "usr/lib/two -rw-r--r-- 0:0 2 = usr/lib/two", "usr/lib64 Lrwxrwxrwx 0:0 -> /lib"},
		},
		"a link that leads out of the image stays in it": {
			[]entries{{soft("out", "../../../etc")}, {reg("out/passwd", "1")}},
			[]string{"etc drwxr-xr-x 0:0", "etc/passwd -rw-r--r-- 0:0 1 = etc/passwd", "out Lrwxrwxrwx 0:0 -> ../../../etc"},
		},
		"a name given twice, first as a directory": {
			[]entries{{reg("x/low", "1")}, {dir("x", 0o755, 0), reg("x", "2"), dir("x", 0o711, 0), reg("x", "3")}},
			[]string{"x -rw-r--r-- 0:0 3 = x"},
		},
		"a directory that was a file in between": {
			[]entries{{reg("x/low", "1")}, {reg("x", "2"), dir("x", 0o711, 0)}},
			[]string{"x drwx--x--x 0:0"},
		},
		"names that begin as others do": {
			[]entries{{reg("./a", "1"), reg("/b", "2"), reg("c/../d", "3")}},
			[]string{"a -rw-r--r-- 0:0 1 = a", "b -rw-r--r-- 0:0 2 = b", "d -rw-r--r-- 0:0 3 = d"},
		},
		"attributes go with the file that has them": {
			[]entries{{
				{Name: "ping", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 5, Uname: "1", PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "cap", "SCHILY.xattr.trusted.overlay.opaque": "y"}},
				hard("pong", "ping"), {Name: "other", Typeflag: tar.TypeReg, Mode: 0o644, PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y"}},
			}, {reg("other", "2"), hard("pang", "ping")}},
			[]string{
				"other -rw-r--r-- 0:0 2 = other",
				`pang urwxr-xr-x 5:0 1 = pang map["security.capability":"cap"] <nil>`,
				`ping urwxr-xr-x 5:0 1 = pang map["security.capability":"cap"] <nil>`,
				`pong urwxr-xr-x 5:0 1 = pang map["security.capability":"cap"] <nil>`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stack{dir: t.TempDir()}
			for _, l := range c.layers {
				s.mustAdd(t, l...)
			}
			if got := s.list(t); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// The times of what a layer does not mention stay, and so does what nothing is changed of.
func TestWrite_ALayerHoldsOnlyWhatItChanges(t *testing.T) {
	s := &stack{dir: t.TempDir()}
	s.mustAdd(t, dir("d", 0o700, 9), reg("d/one", "1"), reg("d/two", "2"), reg("e/three", "3"))
	s.mustAdd(t, reg("d/two", "22"), reg(".wh.never", ""), reg("e/.wh..wh..opq", ""))
	var held []string
	err := fs.WalkDir(s.layers[0], ".", func(name string, d fs.DirEntry, err error) error {
		if name != "lost+found" {
			held = append(held, name)
		}
		return err
	})
	if want := []string{".", "d", "d/two", "e"}; err != nil || !slices.Equal(held, want) {
		t.Errorf("the layer holds %q, want %q: %v", held, want, err)
	}
	info, err := fs.Stat(s.layers[0], "d")
	if err != nil {
		t.Fatal(err)
	}
	if uid, _ := info.Sys().(ext4fs.Attr).Owner(); uid != 9 || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory that it does not mention is %v of %d in it", info.Mode(), uid)
	}
}

func TestSpool_RefusesWhatIsNoLayer(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		entries []tar.Header
		want    string
	}{
		"out of the root":           {[]tar.Header{reg("../x", "")}, "out of the image"},
		"a long name":               {[]tar.Header{reg("a/"+long, "")}, "255 bytes"},
		"a file that is the root":   {[]tar.Header{reg(".", "")}, "root"},
		"a link to nothing":         {[]tar.Header{hard("x", "y")}, "not there"},
		"a link out of the root":    {[]tar.Header{hard("x", "../../etc/passwd")}, "out of the image"},
		"a link to a directory":     {[]tar.Header{dir("d", 0o755, 0), hard("x", "d")}, "a directory"},
		"a file in a file":          {[]tar.Header{reg("f", ""), reg("f/x", "")}, "not a directory"},
		"links that lead in circle": {[]tar.Header{soft("a", "b"), soft("b", "a"), reg("a/x", "")}, "have no end"},
		"a marker without a name":   {[]tar.Header{reg(".wh.", "")}, "no name"},
	} {
		s := &stack{dir: t.TempDir()}
		err := s.add(t, archive(t, c.entries))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
