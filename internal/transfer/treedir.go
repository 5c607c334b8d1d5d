package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"banger/internal/files"
)

// Tree is a file system that can be sent: Stat follows no link, and the Sys of its fs.FileInfo
// has what TreeInfo needs.
type Tree interface {
	fs.StatFS
	// Layer tells apart the parts in which an inode has a number of its own.
	Layer(name string) (int, error)
}

// TreeInfo is what Sys of the entries of a Tree offers; ext4fs.Attr does.
type TreeInfo interface {
	Inode() uint32
	Links() int
	Owner() (uid, gid uint32)
	Target() (string, error)
	Xattrs() (map[string][]byte, error)
}

// OpenTree is OpenPath for a tree: links are followed within it.
func OpenTree(t Tree, p string, follow bool) (*Opened, error) {
	name, err := within(t, p, follow || wantsDir(p))
	if err != nil {
		return nil, pathError(p, err)
	}
	o := &Opened{Contents: meansContents(p) || strings.Trim(p, "/") == ""}
	if wantsDir(p) || name == "." {
		info, err := t.Stat(name)
		if err == nil && !info.IsDir() {
			err = errors.New("it is not a directory")
		}
		if err != nil {
			return nil, pathError(p, err)
		}
		o.Dir, o.Name = &treeDir{tree: t, path: name}, "."
	} else {
		o.Dir, o.Name = &treeDir{tree: t, path: path.Dir(name)}, path.Base(name)
	}
	return stated(o)
}

// within resolves a path in a tree, as its guest would; the last component only with last.
func within(t Tree, p string, last bool) (string, error) {
	return files.Resolve(p, func(name string, final bool) (string, error) {
		info, err := t.Stat(name)
		if err != nil || info.Mode().Type() != fs.ModeSymlink || final && !last {
			return "", err
		}
		sys, ok := info.Sys().(TreeInfo)
		if !ok {
			return "", errNoAttributes
		}
		target, err := sys.Target()
		if err == nil && len(target) > maxTargetBytes {
			err = files.ErrLinks
		}
		if target == "" { // on a damaged disk
			target = "."
		}
		return target, err
	})
}

var errNoAttributes = errors.New("the file system does not say what it is")

// treeDir is a directory of a tree.
type treeDir struct {
	tree  Tree
	path  string
	names []string               // that were not returned yet
	infos map[string]fs.FileInfo // of those that were listed
	read  bool
}

// Close implements Dir.
func (d *treeDir) Close() error { return nil }

// Next implements Dir.
func (d *treeDir) Next() ([]string, error) {
	if d.read {
		return nil, io.EOF
	}
	d.read = true
	entries, err := fs.ReadDir(d.tree, d.path)
	if err != nil {
		return nil, err
	}
	d.infos = make(map[string]fs.FileInfo, len(entries))
	for _, e := range entries {
		d.names = append(d.names, e.Name())
		// What is mounted there is asked for by its path.
		if info, err := e.Info(); err == nil && !e.IsDir() {
			d.infos[e.Name()] = info
		}
	}
	return d.names, nil
}

// Stat implements Dir.
func (d *treeDir) Stat(name string) (Attributes, error) {
	at := path.Join(d.path, name)
	info := d.infos[name]
	if info == nil {
		var err error
		if info, err = d.tree.Stat(at); err != nil {
			return Attributes{}, err
		}
	}
	return treeAttributes(d.tree, at, info)
}

func treeAttributes(t Tree, name string, info fs.FileInfo) (Attributes, error) {
	sys, ok := info.Sys().(TreeInfo)
	if !ok {
		return Attributes{}, errNoAttributes
	}
	mode := info.Mode()
	a := Attributes{Mode: uint32(mode.Perm()), ModTime: info.ModTime(), Size: info.Size(), Links: uint64(max(sys.Links(), 0)), Inode: uint64(sys.Inode())}
	a.UID, a.GID = sys.Owner()
	for bit, is := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&is != 0 {
			a.Mode |= bit
		}
	}
	switch mode.Type() {
	case 0:
		a.Type = Regular
	case fs.ModeDir:
		a.Type = Directory
	case fs.ModeSymlink:
		a.Type = Symlink
		var err error
		if a.Target, err = sys.Target(); err != nil {
			return a, err
		}
	default:
		a.Type = Other
	}
	if a.Type == Regular && a.Links > 1 {
		layer, err := t.Layer(name)
		if err != nil {
			return a, err
		}
		a.Device = uint64(int64(layer) + 2)
	}
	return a, nil
}

// OpenDir implements Dir.
func (d *treeDir) OpenDir(name string) (Dir, error) {
	at := path.Join(d.path, name)
	info, err := d.tree.Stat(at)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a directory")
	}
	if err != nil {
		return nil, err
	}
	return &treeDir{tree: d.tree, path: at}, nil
}

// OpenFile implements Dir.
func (d *treeDir) OpenFile(name string) (File, error) {
	at := path.Join(d.path, name)
	f, err := d.tree.Open(at)
	if err != nil {
		return nil, err
	}
	extents, ok := f.(interface {
		io.ReaderAt
		NextData(offset int64) (begin, end int64, err error)
	})
	if !ok {
		f.Close()
		return nil, errNoAttributes
	}
	return &treeFile{File: f, ReaderAt: extents, next: extents.NextData, tree: d.tree, path: at}, nil
}

// Xattrs implements Dir.
func (d *treeDir) Xattrs() ([]Xattr, error) {
	info, err := d.tree.Stat(d.path)
	if err != nil {
		return nil, err
	}
	return treeXattrs(info)
}

// treeFile is an open file of a tree.
type treeFile struct {
	fs.File
	io.ReaderAt
	next func(int64) (int64, int64, error)
	tree Tree
	path string
}

// Stat implements File.
func (f *treeFile) Stat() (Attributes, error) {
	info, err := f.File.Stat()
	if err != nil {
		return Attributes{}, err
	}
	a, err := treeAttributes(f.tree, f.path, info)
	a.Data = -1 // that is not counted: holes are looked for
	return a, err
}

// NextData implements File.
func (f *treeFile) NextData(offset int64) (begin, end int64, err error) { return f.next(offset) }

// Xattrs implements File.
func (f *treeFile) Xattrs() ([]Xattr, error) {
	info, err := f.File.Stat()
	if err != nil {
		return nil, err
	}
	return treeXattrs(info)
}

// The extended attributes with which overlayfs says that the content of a file, or the rest of a
// directory, is under another name. Our guests' kernels write none.
const (
	redirectXattr = "trusted.overlay.redirect"
	metacopyXattr = "trusted.overlay.metacopy"
)

func treeXattrs(info fs.FileInfo) ([]Xattr, error) {
	sys, ok := info.Sys().(TreeInfo)
	if !ok {
		return nil, errNoAttributes
	}
	all, err := sys.Xattrs()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{redirectXattr, metacopyXattr} {
		if _, ok := all[name]; ok {
			return nil, fmt.Errorf("its %s cannot be read without the guest", strings.TrimPrefix(name, "trusted.overlay."))
		}
	}
	var list []Xattr
	for name, value := range all {
		if strings.HasPrefix(name, "user.") || name == "security.capability" { // access lists have another form on the disk
			list = append(list, Xattr{name, value})
		}
	}
	return list, nil
}
