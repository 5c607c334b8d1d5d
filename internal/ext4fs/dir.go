package ext4fs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
)

// entryHeader is the size of a directory entry without its name.
const entryHeader = 8

// dirEntry names an inode in a directory.
type dirEntry struct {
	name  []byte // valid until the next one is yielded
	inode uint32
}

// entries yields those of a directory. Its index, if it has one, looks like empty
// entries.
func (i *inode) entries() iter.Seq2[dirEntry, error] {
	return func(yield func(dirEntry, error) bool) {
		if !i.IsDir() {
			yield(dirEntry{}, fmt.Errorf("%s is not a directory", i.name))
			return
		}
		if i.size > MaxDirBytes {
			yield(dirEntry{}, fmt.Errorf("the directory has %d bytes: %w", i.size, errDamaged))
			return
		}
		block := make([]byte, i.fsys.blockSize)
		for off := int64(0); off < i.size; off += i.fsys.blockSize {
			n, err := i.ReadAt(block, off)
			if err != nil && !errors.Is(err, io.EOF) {
				yield(dirEntry{}, err)
				return
			}
			for b := block[:n]; len(b) > 0; {
				if len(b) < entryHeader {
					yield(dirEntry{}, errDamaged)
					return
				}
				number, size, nameLen := le.Uint32(b), int(le.Uint16(b[4:])), int(b[6])
				if size < entryHeader || size > len(b) || entryHeader+nameLen > size {
					yield(dirEntry{}, fmt.Errorf("an entry of %d bytes: %w", size, errDamaged))
					return
				}
				e := dirEntry{b[entryHeader : entryHeader+nameLen], number}
				b = b[size:]
				if number != 0 && string(e.name) != "." && string(e.name) != ".." && !yield(e, nil) {
					return
				}
			}
		}
	}
}

// child returns what has a name in a directory.
func (i *inode) child(name string) (*inode, error) {
	if few := i.fsys.few; few != nil && i.number == i.fsys.root.number {
		for _, e := range few {
			if e.name == name {
				return i.fsys.inode(e.inode, name)
			}
		}
		return nil, fs.ErrNotExist
	}
	if i.IsDir() {
		if number, ok := i.fsys.names.find(i, name); ok && number == 0 {
			return nil, fs.ErrNotExist
		} else if ok {
			return i.fsys.inode(number, name)
		}
	}
	for e, err := range i.entries() {
		if err != nil {
			return nil, err
		}
		if string(e.name) == name {
			return i.fsys.inode(e.inode, name)
		}
	}
	return nil, fs.ErrNotExist
}

// dir is an open directory.
type dir struct {
	inode *inode
	list  []fs.DirEntry // nil before it is read
	read  bool
}

// Stat implements fs.File.
func (d *dir) Stat() (fs.FileInfo, error) { return d.inode, nil }

// Read implements fs.File.
func (d *dir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.inode.name, Err: fmt.Errorf("it is a directory")}
}

// Close implements fs.File.
func (*dir) Close() error { return nil }

// ReadDir implements fs.ReadDirFile. What cannot be a name in an fs.FS is left out.
func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		for e, err := range d.inode.entries() {
			if err != nil {
				return nil, &fs.PathError{Op: "readdir", Path: d.inode.name, Err: err}
			}
			name := string(e.name)
			if !fs.ValidPath(name) || strings.ContainsAny(name, "/\x00") {
				continue
			}
			if len(d.list) == MaxDirEntries {
				return nil, &fs.PathError{Op: "readdir", Path: d.inode.name, Err: fmt.Errorf("the directory has more than %d entries", MaxDirEntries)}
			}
			child, err := d.inode.fsys.inode(e.inode, name)
			if err != nil {
				return nil, &fs.PathError{Op: "readdir", Path: d.inode.name, Err: err}
			}
			d.list = append(d.list, fs.FileInfoToDirEntry(child))
		}
		slices.SortFunc(d.list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
		d.read = true
	}
	if n > 0 && len(d.list) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.list) {
		n = len(d.list)
	}
	list := d.list[:n]
	d.list = d.list[n:]
	return list, nil
}
