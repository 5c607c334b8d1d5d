// Package diskusage counts what files take of a disk: the blocks that they have, not their
// sizes, and each file once, however many names it has. Data that files of a file system such as
// btrfs share without being one file count in each.
package diskusage

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Tree is what some files and directories take. The zero value is that of none.
type Tree struct {
	single int64 // bytes of what has one name
	linked map[inode]linked
}

// inode identifies a file on this host; stat(2).
type inode struct{ dev, ino uint64 }

// linked is a file that has several names (link(2)).
type linked struct {
	bytes int64
	names uint64 // that it has in the tree
	links uint64 // that it has anywhere
}

// Of returns what the files at paths and below take. What vanishes meanwhile, or may not be read,
// counts as nothing.
func Of(paths ...string) (Tree, error) {
	t := Tree{linked: map[inode]linked{}}
	for _, path := range paths {
		if err := filepath.WalkDir(path, t.count); err != nil {
			return Tree{}, err
		}
	}
	return t, nil
}

// count is a fs.WalkDirFunc.
func (t *Tree) count(path string, _ fs.DirEntry, err error) error {
	var stat unix.Stat_t
	if err == nil {
		err = unix.Lstat(path, &stat)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	const blockBytes = 512 // stat(2)
	bytes := stat.Blocks * blockBytes
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR || stat.Nlink < 2 { // the links of a directory are in it
		t.single += bytes
		return nil
	}
	id := inode{stat.Dev, stat.Ino}
	t.linked[id] = linked{bytes, t.linked[id].names + 1, uint64(stat.Nlink)} //nolint:unconvert // 32 bits on arm64
	return nil
}

// With returns what both trees take, which have no path in common.
func (t Tree) With(other Tree) Tree {
	sum := Tree{single: t.single + other.single, linked: maps.Clone(t.linked)}
	if sum.linked == nil {
		sum.linked = map[inode]linked{}
	}
	for id, l := range other.linked {
		l.names += sum.linked[id].names
		sum.linked[id] = l
	}
	return sum
}

// Bytes is what the tree takes.
func (t Tree) Bytes() int64 { return t.beyond(nil) }

// beyond is what it takes without those files.
func (t Tree) beyond(counted map[inode]linked) int64 {
	bytes := t.single
	for id, l := range t.linked {
		if _, ok := counted[id]; !ok {
			bytes += l.bytes
		}
	}
	return bytes
}

// Freed is what the disk has more when the tree is deleted: a file that has a name elsewhere
// stays.
func (t Tree) Freed() int64 {
	bytes := t.single
	for _, l := range t.linked {
		if l.names >= l.links {
			bytes += l.bytes
		}
	}
	return bytes
}
