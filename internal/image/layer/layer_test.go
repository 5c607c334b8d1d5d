package layer_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"banger/internal/ext4fs"
	"banger/internal/image/ext4"
	"banger/internal/image/layer"
	"banger/internal/overlay"
)

// archive returns a tar of entries; the content of a regular file is in its PAX record "test".
func archive(t testing.TB, entries []tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := h.Uname // which nobody keeps
		h.Uname, h.Size = "", int64(len(content))
		if h.Typeflag != tar.TypeReg {
			h.Size = 0
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stack puts layers on one another, each in a file system of its own.
type stack struct {
	dir    string
	layers []fs.StatFS // the uppermost first
}

func (s *stack) fsys() *overlay.FS { return overlay.New(s.layers...) }

// add puts a layer on top.
func (s *stack) add(t testing.TB, archive []byte) error {
	t.Helper()
	spool, err := os.Create(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	a, err := layer.Spool(bytes.NewReader(archive), spool, layer.DefaultLimits())
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(layer.Write(t.Context(), w, a, s.fsys())) }()
	file := filepath.Join(s.dir, fmt.Sprintf("layer%d", len(s.layers)))
	err = ext4.FromTar(r, file)
	r.CloseWithError(fs.ErrClosed)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fsys, err := ext4fs.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	s.layers = append([]fs.StatFS{fsys}, s.layers...)
	return nil
}

func (s *stack) mustAdd(t testing.TB, entries ...tar.Header) {
	t.Helper()
	if err := s.add(t, archive(t, entries)); err != nil {
		t.Fatal(err)
	}
}

// list returns what a stack holds, one line for each name, in which files that are linked
// have the name of the first of them. The links that a file says to have are those it has.
func (s *stack) list(t testing.TB) []string {
	t.Helper()
	type identity struct {
		layer int
		inode uint32
	}
	fsys := s.fsys()
	names, links := map[identity][]string{}, map[identity]int{}
	ids := map[string]identity{}
	var lines []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." || name == "lost+found" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n, err := fsys.Layer(name)
		if err != nil {
			return err
		}
		attr := info.Sys().(ext4fs.Attr)
		id := identity{n, attr.Inode()}
		ids[name] = id
		names[id] = append(names[id], name)
		links[id] = attr.Links()
		uid, gid := attr.Owner()
		line := fmt.Sprintf("%s %v %d:%d", name, info.Mode(), uid, gid)
		switch info.Mode().Type() {
		case 0:
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			line += " " + string(data) + " = " + names[id][0]
			if xattrs, err := attr.Xattrs(); err != nil || len(xattrs) > 0 {
				line += fmt.Sprintf(" %q %v", xattrs, err)
			}
		case fs.ModeSymlink:
			target, err := attr.Target()
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, all := range names {
		if info, _ := fsys.Stat(all[0]); !info.IsDir() && links[id] != len(all) {
			t.Errorf("%q say to have %d links", all, links[id])
		}
	}
	slices.Sort(lines)
	return lines
}

// model is what layers mean, as the image-spec has it, in the simplest way.
type model struct{ names map[string]*name }

// name is one of a file. It is new if the layer that is being applied gave it, or has
// something in it.
type name struct {
	*file
	isNew, given bool
}

type file struct {
	typ  byte
	text string // content, or target
	mode int64
	uid  int
}

// remove removes a name, and what is in it; if lower is set only what is not of the layer
// that is being applied, for which directories are created again.
func (m *model) remove(removed string, lower bool) {
	for other, f := range m.names {
		switch {
		case other != removed && !strings.HasPrefix(other, removed+"/"):
		case !lower || !f.isNew:
			delete(m.names, other)
		case !f.given:
			f.file = newDir()
		}
	}
}

func newDir() *file { return &file{typ: tar.TypeDir, mode: 0o755} }

// list is stack.list.
func (m *model) list() (lines []string) {
	first := map[*file]string{}
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		f := m.names[name]
		if first[f.file] == "" {
			first[f.file] = name
		}
		mode := fs.FileMode(f.mode)
		line := name + " " + (map[byte]fs.FileMode{tar.TypeDir: fs.ModeDir, tar.TypeSymlink: fs.ModeSymlink | 0o777}[f.typ] | mode).String() + fmt.Sprintf(" %d:0", f.uid)
		switch f.typ {
		case tar.TypeReg:
			line += " " + f.text + " = " + first[f.file]
		case tar.TypeSymlink:
			line += " -> " + f.text
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// randomLayer returns the entries of a layer that changes what the model holds, and changes
// it.
func (m *model) randomLayer(random *rand.Rand) (entries []tar.Header) {
	for _, f := range m.names {
		f.isNew, f.given = false, false
	}
	for range 1 + random.IntN(14) {
		name := string("abc"[random.IntN(3)])
		for range random.IntN(3) {
			name += "/" + string("abc"[random.IntN(3)])
		}
		if h, ok := m.change(random, name); ok {
			h.Name = name
			if strings.HasPrefix(h.Linkname, ".wh.") { // it removes
				h.Name, h.Linkname = path.Join(path.Dir(name), h.Linkname), ""
			}
			entries = append(entries, h)
		}
	}
	return entries
}

// dirFor makes the directories that a name needs, as a layer does that does not mention
// them. It reports whether it could: none of them is a file.
func (m *model) dirFor(of string) bool {
	for dir := path.Dir(of); dir != "."; dir = path.Dir(dir) {
		if f := m.names[dir]; f != nil && f.typ != tar.TypeDir {
			return false
		}
	}
	for dir := path.Dir(of); dir != "."; dir = path.Dir(dir) {
		if m.names[dir] == nil {
			m.names[dir] = &name{newDir(), true, false}
		} else {
			m.names[dir].isNew = true // what is in it keeps it
		}
	}
	return true
}

func (m *model) change(random *rand.Rand, at string) (h tar.Header, ok bool) {
	kind := random.IntN(8)
	if was := m.names[at]; kind < 4 && was != nil && was.isNew && was.typ == tar.TypeDir {
		kind = 0 // what of this layer was in it would be gone, and what is removed is removed anywhere
	}
	var targets []string
	for other, f := range m.names {
		if f.typ == tar.TypeReg && other != at {
			targets = append(targets, other)
		}
	}
	slices.Sort(targets)
	was := m.names[at]
	if kind == 7 || kind == 4 && (len(targets) == 0 || was != nil && was.typ == tar.TypeDir) || !m.dirFor(at) {
		return h, false
	}
	uid, mode := random.IntN(3), int64(0o600+random.IntN(8))
	text := fmt.Sprint(random.IntN(1000))
	switch kind {
	case 0, 1:
		m.names[at] = &name{&file{typ: tar.TypeDir, mode: mode, uid: uid}, true, true}
		return tar.Header{Typeflag: tar.TypeDir, Mode: mode, Uid: uid}, true
	case 2, 3:
		m.remove(at, false)
		m.names[at] = &name{&file{typ: tar.TypeReg, text: text, mode: mode, uid: uid}, true, true}
		return tar.Header{Typeflag: tar.TypeReg, Mode: mode, Uid: uid, Uname: text}, true
	case 4:
		target := targets[random.IntN(len(targets))]
		m.names[at] = &name{m.names[target].file, true, true}
		return tar.Header{Typeflag: tar.TypeLink, Linkname: target}, true
	case 5:
		m.remove(at, true)
		return tar.Header{Typeflag: tar.TypeReg, Linkname: ".wh." + path.Base(at)}, true
	case 6:
		for other := range m.names {
			if path.Dir(other) == path.Dir(at) {
				m.remove(other, true)
			}
		}
		return tar.Header{Typeflag: tar.TypeReg, Linkname: ".wh..wh..opq"}, true
	}
	return h, false
}

func TestWrite_MeansWhatTheLayersMean(t *testing.T) {
	const layers = 5
	stacks := uint64(60)
	if testing.Short() {
		stacks = 6
	}
	for seed := range stacks {
		random := rand.New(rand.NewPCG(seed, 7))
		m := &model{map[string]*name{}}
		s := &stack{dir: t.TempDir()}
		var said []string
		for n := range layers {
			entries := m.randomLayer(random)
			for _, h := range entries {
				said = append(said, fmt.Sprintf("%d: %c %s %s", n, h.Typeflag, h.Name, h.Linkname))
			}
			if err := s.add(t, archive(t, entries)); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(said, "\n"))
			}
			if got, want := s.list(t), m.list(); !slices.Equal(got, want) || t.Failed() {
				t.Fatalf("seed %d:\n%s\ngot\n%s\nwant\n%s", seed, strings.Join(said, "\n"), strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}
