package ext4fs

import (
	"io/fs"
	"sync"
)

// maxNamesBytes bounds a directory whose names are kept: one of 100,000 sessions has 3 MiB.
const maxNamesBytes = 4 << 20

// names keeps those of the largest directory in which something has been looked up, if
// they are too many for one block: who looks up each name in it would otherwise read all
// of it each time. Safe for concurrent use.
type names struct {
	mu     sync.Mutex // guards the fields below, and is held while a directory is read
	of     uint32     // its inode; 0 if there are none
	size   int64      // of the directory
	inodes map[string]uint32
}

// find returns the inode that has a name in a directory, 0 if none has. ok is false if
// the directory's names are not to be kept, or cannot all be read.
func (n *names) find(i *inode, name string) (number uint32, ok bool) {
	if i.size <= i.fsys.blockSize || i.size > maxNamesBytes {
		return 0, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of != i.number && (i.size <= n.size || !n.read(i)) {
		return 0, false
	}
	return n.inodes[name], true
}

// read takes the names of a directory. Of two that are equal the first counts.
func (n *names) read(i *inode) bool {
	inodes := map[string]uint32{}
	for e, err := range i.entries() {
		if err != nil || len(inodes) == MaxDirEntries {
			return false
		}
		if _, twice := inodes[string(e.name)]; !twice {
			inodes[string(e.name)] = e.inode
		}
	}
	n.of, n.size, n.inodes = i.number, i.size, inodes
	return true
}

// Sub implements fs.SubFS: what leads to the directory is looked up once, and one of a
// single block is read once, here. What is no
// directory, or cannot be found, makes all that is looked up in it fail.
func (f *FS) Sub(name string) (fs.FS, error) {
	i, err := f.lookUp("sub", name)
	if err != nil || !i.IsDir() {
		return fs.Sub(plain{f}, name)
	}
	sub := *f
	sub.root, sub.few = i, i.few()
	i.fsys = &sub
	return &sub, nil
}

// named is an inode and its name in a directory.
type named struct {
	name  string
	inode uint32
}

// few returns what is in a directory of one block; nil if it is larger or cannot be read.
func (i *inode) few() []named {
	if i.size > i.fsys.blockSize {
		return nil
	}
	list := make([]named, 0, 8)
	for e, err := range i.entries() {
		if err != nil {
			return nil
		}
		list = append(list, named{string(e.name), e.inode})
	}
	return list
}

// plain is a file system in which each path is looked up from the root.
type plain struct{ fsys *FS }

// Open implements fs.FS.
func (p plain) Open(name string) (fs.File, error) { return p.fsys.Open(name) }

// Stat implements fs.StatFS.
func (p plain) Stat(name string) (fs.FileInfo, error) { return p.fsys.Stat(name) }
