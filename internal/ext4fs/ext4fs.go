// Package ext4fs reads an ext4 file system out of an image, as an fs.FS and
// without mounting it. It follows the layout in the Linux kernel's
// Documentation/filesystems/ext4.
//
// Nothing in the image is trusted: whatever it says, nothing outside of it is read,
// no call hangs, and none holds more than a few blocks, or MaxDirEntries names. Symbolic
// links are told by Stat and never followed.
package ext4fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// MaxDirBytes bounds a directory in which a name is looked up, MaxDirEntries one
// that is listed; a larger one is an error.
const (
	MaxDirBytes   = 16 << 20
	MaxDirEntries = 100_000
)

// ErrJournal says that the journal has to be replayed before anything can be read,
// as after a crash; e2fsck(8).
var ErrJournal = errors.New("the journal of the file system has not been replayed")

// errDamaged says that the image contradicts itself.
var errDamaged = errors.New("the file system is damaged")

// The superblock; offsets are from its beginning.
const (
	superOffset = 1024
	superBytes  = 1024
	superMagic  = 0xEF53
	rootInode   = 2

	incompatFileType  = 0x2
	incompatRecover   = 0x4
	incompatExtents   = 0x40
	incompat64Bit     = 0x80
	incompatFlexBG    = 0x200
	incompatCsumSeed  = 0x2000
	incompatLargeDir  = 0x4000
	incompatSupported = incompatFileType | incompatRecover | incompatExtents | incompat64Bit | incompatFlexBG | incompatCsumSeed | incompatLargeDir
)

var le = binary.LittleEndian //nolint:gochecknoglobals // a name for a constant

// FS is a file system that nobody changes. It is safe for concurrent use if its image is,
// and keeps nothing but the superblock and the names of one directory; one that Sub has made
// also those of its own, if they are in one block.
type FS struct {
	root           *inode  // where paths begin; nil if that is the root of all
	few            []named // what is in root, if that is known
	names          *names
	image          io.ReaderAt
	blockSize      int64
	firstBlock     int64 // in which the superblock lies
	inodes         uint32
	inodesPerGroup uint32
	inodeSize      int64
	descSize       int64
}

// Open reads the superblock. It fails with ErrJournal if there is something to be
// replayed; without that, files may be as they were long ago.
func Open(image io.ReaderAt) (*FS, error) {
	f, super, err := open(image)
	if err == nil && le.Uint32(super[96:])&incompatRecover != 0 {
		return nil, ErrJournal
	}
	return f, err
}

// open is Open whatever has to be replayed. It returns the superblock, too.
func open(image io.ReaderAt) (*FS, []byte, error) {
	b := make([]byte, superBytes)
	if _, err := image.ReadAt(b, superOffset); err != nil {
		return nil, nil, fmt.Errorf("cannot read superblock: %w", err)
	}
	if le.Uint16(b[56:]) != superMagic {
		return nil, nil, fmt.Errorf("cannot read superblock: not an ext4 file system: %w", errDamaged)
	}
	incompat := le.Uint32(b[96:])
	if unknown := incompat &^ incompatSupported; unknown != 0 || incompat&incompatExtents == 0 {
		return nil, nil, fmt.Errorf("cannot read file system: its features %#x are not supported", incompat)
	}
	f := &FS{
		image: image, firstBlock: int64(le.Uint32(b[20:])), inodes: le.Uint32(b[0:]), inodesPerGroup: le.Uint32(b[40:]),
		inodeSize: int64(le.Uint16(b[88:])), descSize: 32, names: &names{},
	}
	if incompat&incompat64Bit != 0 {
		f.descSize = int64(le.Uint16(b[254:]))
	}
	logSize := le.Uint32(b[24:])
	if logSize > 6 || f.inodesPerGroup == 0 || f.inodeSize < 128 || f.inodeSize > 4096 || f.descSize < 32 || f.descSize > 1024 {
		return nil, nil, fmt.Errorf("cannot read superblock: %w", errDamaged)
	}
	f.blockSize = 1024 << logSize
	return f, b, nil
}

// Open implements fs.FS.
func (f *FS) Open(name string) (fs.File, error) {
	i, err := f.lookUp("open", name)
	if err != nil {
		return nil, err
	}
	if !i.Mode().IsRegular() && !i.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("not a regular file but %s", i.Mode())}
	}
	if i.IsDir() {
		return &dir{inode: i}, nil
	}
	return &file{SectionReader: io.NewSectionReader(i, 0, i.size), inode: i}, nil
}

// Replayed reports whether the image has a journal that was not replayed, and that is read.
func (f *FS) Replayed() bool {
	_, is := f.image.(*replayed)
	return is
}

// Stat implements fs.StatFS. It follows no link.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.lookUp("stat", name) }

// lookUp finds the inode of a path.
func (f *FS) lookUp(op, name string) (*inode, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	i, err := f.begin()
	for element := range strings.SplitSeq(name, "/") {
		if err != nil || element == "." {
			break
		}
		i, err = i.child(element)
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	i.name = path.Base(name)
	return i, nil
}

// begin returns the directory where paths begin; it is the caller's.
func (f *FS) begin() (*inode, error) {
	if f.root == nil {
		return f.inode(rootInode, ".")
	}
	i := *f.root
	return &i, nil
}

// read reads all of p from a byte of the image.
func (f *FS) read(p []byte, at int64) error {
	if at < 0 {
		return errDamaged
	}
	if n, err := f.image.ReadAt(p, at); n < len(p) {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("it points behind its end: %w", errDamaged)
		}
		return err
	}
	return nil
}

// block reads a part of a block.
func (f *FS) block(p []byte, number, from int64) error {
	if number <= 0 || number >= 1<<48 {
		return errDamaged
	}
	return f.read(p, number*f.blockSize+from)
}

// file is an open regular file.
type file struct {
	*io.SectionReader
	inode *inode
}

// Stat implements fs.File.
func (f *file) Stat() (fs.FileInfo, error) { return f.inode, nil }

// FirstData returns where a hole ends with which the file begins, as lseek(2) does with
// SEEK_DATA; the file's size if it is nothing but a hole.
func (f *file) FirstData() (int64, error) { return f.inode.firstData() }

// NextData returns where data begins at or behind an offset and where that ends, as lseek(2)
// does with SEEK_DATA and SEEK_HOLE; the file's size twice if there is nothing but a hole.
func (f *file) NextData(offset int64) (begin, end int64, err error) { return f.inode.nextData(offset) }

// Close implements fs.File.
func (*file) Close() error { return nil }
