package transfer

import (
	"io"
	"time"
)

// Type is what an entry of a tree is.
type Type int

// The types. What is Other is not copied: a device, a FIFO, a socket.
const (
	Regular Type = iota
	Directory
	Symlink
	Other
)

// Attributes are what a tree knows of one of its entries.
type Attributes struct {
	Type     Type
	Mode     uint32 // the lowest 12 bits of st_mode
	UID, GID uint32
	ModTime  time.Time
	Size     int64
	Data     int64 // how much of a file is no hole, about; -1 if that is not known
	Links    uint64
	Device   uint64
	Inode    uint64
	Change   int64  // st_ctime in nanoseconds; 0 if it is not known
	Target   string // of a symbolic link
}

// same reports whether a file has not changed between two looks at it.
func (a Attributes) same(b Attributes) bool {
	return a.Size == b.Size && a.ModTime.Equal(b.ModTime) && a.Change == b.Change && a.Inode == b.Inode
}

// Dir is an open directory of a tree. A name is one component, and no method follows a link.
// It is not safe for concurrent use.
type Dir interface {
	io.Closer
	// Next returns the next names, in any order, and io.EOF behind the last ones.
	Next() ([]string, error)
	// Stat returns the attributes of an entry. Of "." they are those of the directory.
	Stat(name string) (Attributes, error)
	OpenDir(name string) (Dir, error)
	// OpenFile opens a regular file, and nothing else.
	OpenFile(name string) (File, error)
	// Xattrs returns the extended attributes of the directory.
	Xattrs() ([]Xattr, error)
}

// File is an open regular file of a tree.
type File interface {
	io.ReaderAt
	io.Closer
	// Stat returns the attributes as they are now.
	Stat() (Attributes, error)
	// NextData returns where data begins at or behind an offset, and where that ends; the size
	// twice if there is nothing but a hole.
	NextData(offset int64) (begin, end int64, err error)
	Xattrs() ([]Xattr, error)
}

// Opened is a source that was found: an entry of a directory. Name is "." if it is that
// directory itself.
type Opened struct {
	Dir        Dir
	Name       string
	Attributes Attributes
	Contents   bool   // what is in the directory is meant
	Note       string // what a user should know of the source
}

// Close closes the directory.
func (o *Opened) Close() error { return o.Dir.Close() }

// source describes it to the receiver. where says whose file it is.
func (o *Opened) source(name, where string) (Source, error) {
	a := o.Attributes
	s := Source{Name: byteString(name), Contents: o.Contents || !validName(name)}
	switch a.Type {
	case Regular:
		s.Form, s.Size, s.Data, s.Identity = FormFile, a.Size, a.Data, identity(where, a)
	case Directory:
		s.Form = FormDir
	case Symlink:
		s.Form = FormLink
	default:
		return s, errNotCopied
	}
	if s.Form != FormDir {
		s.Contents = false
	}
	return s, nil
}
