package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"banger"
	"banger/internal/files"
	"banger/internal/overlay"
)

// The names by which a layer removes what is below it.
const (
	whiteoutPrefix = ".wh."
	metaPrefix     = ".wh..wh."
	opaqueName     = ".wh..wh..opq"
)

// inode is a file that a layer holds, of one or more names.
type inode struct {
	entry *entry // nil: it is copied from below, or a directory that only its children need
	below string // the path below of what is copied; "" if it is new
}

// node is a name in the tree of a layer.
type node struct {
	inode    *inode
	children map[string]*node    // of a directory
	removed  map[string]struct{} // in a directory: names that are removed below
	opaque   bool                // a directory that hides what is in the one below
	replaced bool                // an opaque directory that is not the one below: that was removed
	over     fs.FileInfo         // what it hides or is merged with; nil if nothing, and before meet
}

func (n *node) isDir() bool { return n.children != nil }

func newDir() *node { return &node{inode: &inode{}, children: map[string]*node{}} }

// tree is what a layer makes of an archive, over what is below it.
type tree struct {
	archive *Archive
	below   *overlay.FS
	root    *node

	// copied are files below that have got a name in this layer: in the end all their names
	// are its. Those that had only one are in single, by that name; of the others, and of
	// those of which this layer hides a name, the names are looked for.
	copied map[identity]*inode
	single map[string]*inode
	linked map[identity]bool
}

// newTree applies the entries of an archive in their order.
func newTree(a *Archive, below *overlay.FS) (*tree, error) {
	t := &tree{
		archive: a, below: below, root: newDir(),
		copied: map[identity]*inode{}, single: map[string]*inode{}, linked: map[identity]bool{},
	}
	for i := range a.entries {
		e := &a.entries[i]
		if err := t.add(e); err != nil {
			return nil, banger.Errorf(banger.CodeInvalid, "cannot take layer: entry %q: %w", e.name, err)
		}
	}
	if err := t.meet(); err != nil {
		return nil, fmt.Errorf("cannot read the layers below: %w", err)
	}
	return t, nil
}

func (t *tree) add(e *entry) error {
	if e.name == "." {
		if e.typ != tar.TypeDir {
			return errors.New("the root is not a directory in it")
		}
		t.root.inode.entry = e
		return nil
	}
	dirName, err := t.resolve(path.Dir(e.name))
	if err != nil {
		return err
	}
	dir := t.makeDir(dirName)
	name := path.Base(e.name)
	if strings.HasPrefix(name, whiteoutPrefix) { // whatever its type
		return dir.remove(name)
	}
	was := dir.children[name]
	switch {
	case e.typ == tar.TypeLink:
		return t.link(dir, name, e)
	case e.typ == tar.TypeDir && was != nil && was.isDir():
		was.inode.entry = e
	case e.typ == tar.TypeDir:
		added := newDir()
		added.inode.entry = e
		added.opaque, added.replaced = was != nil, was != nil // it replaces a file of this layer, which had replaced what is below
		dir.children[name] = added
	default:
		dir.children[name] = &node{inode: &inode{entry: e}}
	}
	return nil
}

// remove notes what a name that begins with whiteoutPrefix says of the directory that it
// is in.
func (n *node) remove(name string) error {
	switch removed := strings.TrimPrefix(name, whiteoutPrefix); {
	case name == opaqueName:
		n.opaque = true
	case strings.HasPrefix(name, metaPrefix): // of AUFS
	case removed == "" || removed == "." || removed == "..":
		return errors.New("it removes what has no name")
	default:
		if n.removed == nil {
			n.removed = map[string]struct{}{}
		}
		n.removed[removed] = struct{}{}
	}
	return nil
}

// resolve returns which directory a path of the image means, whether it is there or not.
// Symbolic links that lead to it are followed inside the image: the file lib/x of a layer
// over one in which lib leads to usr/lib is usr/lib/x.
func (t *tree) resolve(name string) (string, error) {
	at, err := files.Resolve(name, func(path string, _ bool) (string, error) { return t.leads(path) })
	if errors.Is(err, files.ErrLinks) {
		err = fmt.Errorf("the symbolic links of %s have no end", name)
	}
	return at, err
}

// leads returns where the symbolic link at a path leads, "" for a directory, or for what
// is not there. It fails for anything else.
func (t *tree) leads(name string) (target string, err error) {
	if n := t.node(name); n != nil {
		if n.isDir() {
			return "", nil
		}
		target, err = t.linkTarget(n.inode)
	} else {
		info, errBelow := t.visibleBelow(name)
		if errors.Is(errBelow, fs.ErrNotExist) || errBelow == nil && info.IsDir() {
			return "", nil
		}
		if errBelow != nil {
			return "", errBelow
		}
		target, err = symlinkTarget(info)
	}
	if err == nil && target == "" {
		err = fmt.Errorf("%s is not a directory", name)
	}
	return target, err
}

// node returns what the layer has at a path, nil if it has nothing.
func (t *tree) node(name string) *node {
	at := t.root
	for element := range elements(name) {
		if at = at.children[element]; at == nil {
			return nil
		}
	}
	return at
}

// makeDir returns the directory at a path that resolve returned, with all that lead to it.
func (t *tree) makeDir(name string) *node {
	at := t.root
	for element := range elements(name) {
		next := at.children[element]
		if next == nil {
			next = newDir()
			at.children[element] = next
		}
		at = next
	}
	return at
}

// linkTarget returns where a file of this layer leads, "" if it is not a symbolic link.
func (t *tree) linkTarget(i *inode) (string, error) {
	if i.entry == nil {
		info, err := t.below.Stat(i.below)
		if err != nil {
			return "", err
		}
		return symlinkTarget(info)
	}
	if i.entry.typ != tar.TypeSymlink {
		return "", nil
	}
	h, _, err := t.archive.open(*i.entry)
	if err != nil {
		return "", err
	}
	return h.Linkname, nil
}

// symlinkTarget returns where a file below leads, "" if it is not a symbolic link.
func symlinkTarget(info fs.FileInfo) (string, error) {
	if info.Mode().Type() != fs.ModeSymlink {
		return "", nil
	}
	return info.Sys().(Inode).Target()
}

// visibleBelow is what a path means below, unless what this layer has by now hides it.
func (t *tree) visibleBelow(name string) (fs.FileInfo, error) {
	at := t.root
	for element := range elements(name) {
		if at == nil {
			break
		}
		_, removed := at.removed[element]
		child := at.children[element]
		if at.opaque || removed || child != nil && !child.isDir() {
			return nil, fs.ErrNotExist
		}
		at = child
	}
	return t.below.Stat(name)
}

// Inode is what Sys of the fs.FileInfo of a layer below has to offer; ext4fs.Attr does.
type Inode interface {
	overlay.Attributes
	Inode() uint32
	Links() int
	Owner() (uid, gid uint32)
	Target() (string, error)
}
