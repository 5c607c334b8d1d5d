package layer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
)

// link adds a name to a file of this layer or of one below. What lies below is copied: it
// would not have the new name.
func (t *tree) link(dir *node, name string, e *entry) error {
	at, err := t.resolve(path.Dir(e.link))
	if err != nil {
		return fmt.Errorf("its target %s: %w", e.link, err)
	}
	below := path.Join(at, path.Base(e.link))
	var target *inode
	isDir := false
	if n := t.node(below); n != nil {
		target, isDir = n.inode, n.isDir()
	} else {
		info, err := t.visibleBelow(below)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("it is a link to %s, which is not there", e.link)
		}
		if err != nil {
			return err
		}
		if isDir = info.IsDir(); !isDir {
			target, err = t.copy(below, info)
		}
		if err != nil {
			return err
		}
	}
	if isDir {
		return fmt.Errorf("it is a link to %s, which is a directory", e.link)
	}
	dir.children[name] = &node{inode: target}
	return nil
}

// copy returns the file of the layer that takes the place of one below.
func (t *tree) copy(name string, info fs.FileInfo) (*inode, error) {
	id, err := t.identify(name, info)
	if err != nil {
		return nil, err
	}
	if t.copied[id] == nil {
		t.copied[id] = &inode{below: name}
		if info.Sys().(Inode).Links() == 1 {
			t.single[name] = t.copied[id]
		} else {
			t.linked[id] = true
		}
	}
	return t.copied[id], nil
}

// identity is a file below, whatever its name.
type identity struct {
	layer int
	inode uint32
}

// identify returns which file a name below means.
func (t *tree) identify(name string, info fs.FileInfo) (identity, error) {
	n, err := t.below.Layer(name)
	return identity{n, info.Sys().(Inode).Inode()}, err
}

// meet learns what each name of the layer is over, and drops what removes nothing. Files
// below of which some names are hidden and others are not are copied with their names, so
// that they have as many links as they have names.
func (t *tree) meet() error {
	info, err := t.below.Stat(".")
	if errors.Is(err, fs.ErrNotExist) { // there is nothing below
		return t.meetDir(t.root, ".", nil)
	}
	if err != nil {
		return err
	}
	if err := t.meetBelow(t.root, ".", info); err != nil {
		return err
	}
	for name, copied := range t.single {
		if err := t.bind(name, copied); err != nil {
			return err
		}
	}
	if len(t.linked) == 0 {
		return nil
	}
	return fs.WalkDir(t.below, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		id, linked, err := t.identifyLinked(name, d)
		if err != nil || !linked || !t.linked[id] {
			return err
		}
		if t.copied[id] == nil {
			t.copied[id] = &inode{below: name}
		}
		return t.bind(name, t.copied[id])
	})
}

// bind gives a copy its name of below, unless that is hidden.
func (t *tree) bind(name string, copied *inode) error {
	_, err := t.visibleBelow(name)
	if errors.Is(err, fs.ErrNotExist) || t.node(name) != nil {
		return nil
	}
	if err != nil {
		return err
	}
	t.makeDir(path.Dir(name)).children[path.Base(name)] = &node{inode: copied}
	at, atPath := t.root, "."
	for element := range elements(path.Dir(name)) { // those that had to be made
		at, atPath = at.children[element], path.Join(atPath, element)
		if at.over == nil {
			if at.over, err = t.below.Stat(atPath); err != nil {
				return err
			}
		}
	}
	return nil
}

// meetBelow notes what a name is over, and what it hides.
func (t *tree) meetBelow(n *node, name string, below fs.FileInfo) error {
	n.over = below
	if !n.isDir() || !below.IsDir() || n.opaque {
		if err := t.hide(name, fs.FileInfoToDirEntry(below)); err != nil {
			return err
		}
		return t.meetDir(n, name, nil)
	}
	entries, err := fs.ReadDir(t.below, name)
	if err != nil {
		return err
	}
	return t.meetDir(n, name, entries)
}

// meetDir goes through a directory of the layer, over what is below it.
func (t *tree) meetDir(n *node, name string, below []fs.DirEntry) error {
	belowOf := map[string]fs.DirEntry{}
	for _, e := range below {
		_, removed := n.removed[e.Name()]
		if n.children[e.Name()] != nil || removed {
			belowOf[e.Name()] = e
		}
	}
	for base, child := range n.children {
		if _, removed := n.removed[base]; removed && child.isDir() {
			child.opaque, child.replaced = true, true
		}
		var err error
		if e := belowOf[base]; e != nil {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				err = t.meetBelow(child, path.Join(name, base), info)
			}
		} else if child.isDir() {
			err = t.meetDir(child, path.Join(name, base), nil)
		}
		if err != nil {
			return err
		}
	}
	maps.DeleteFunc(n.removed, func(base string, _ struct{}) bool {
		return belowOf[base] == nil || n.children[base] != nil
	})
	for base := range n.removed {
		if err := t.hide(path.Join(name, base), belowOf[base]); err != nil {
			return err
		}
	}
	return nil
}

// hide notes that a name below is hidden, with all below it.
func (t *tree) hide(name string, d fs.DirEntry) error {
	if !d.IsDir() {
		id, linked, err := t.identifyLinked(name, d)
		if linked {
			t.linked[id] = true
		}
		return err
	}
	return fs.WalkDir(t.below, name, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return t.hide(name, d)
	})
}

// identifyLinked returns which file a name below means if that has others.
func (t *tree) identifyLinked(name string, d fs.DirEntry) (id identity, linked bool, err error) {
	info, err := d.Info()
	if err != nil || info.Sys().(Inode).Links() < 2 {
		return id, false, err
	}
	id, err = t.identify(name, info)
	return id, err == nil, err
}
