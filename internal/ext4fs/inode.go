package ext4fs

import (
	"fmt"
	"io"
	"io/fs"
	"time"
)

const (
	inodeBytes = 128 // that each has, and of each that matter here: wideBytes
	wideBytes  = 140
	mapBytes   = 60 // i_block

	flagExtents = 0x80000

	typeMask    = 0xF000
	typeFIFO    = 0x1000
	typeChar    = 0x2000
	typeDir     = 0x4000
	typeBlock   = 0x6000
	typeRegular = 0x8000
	typeLink    = 0xA000
	typeSocket  = 0xC000
)

// inode is a file of any kind, and its fs.FileInfo.
type inode struct {
	fsys   *FS
	number uint32
	name   string
	mode   uint16
	links  int
	uid    uint32
	gid    uint32
	size   int64
	mtime  time.Time
	flags  uint32
	tree   [mapBytes]byte // i_block: the root of the tree of extents, mostly
}

func (f *FS) inode(number uint32, name string) (*inode, error) {
	b, err := f.rawInode(number, min(f.inodeSize, wideBytes))
	if err != nil {
		return nil, err
	}
	i := &inode{
		fsys: f, number: number, name: name, mode: le.Uint16(b[0:]), flags: le.Uint32(b[32:]),
		size:  int64(le.Uint32(b[4:])) | int64(le.Uint32(b[108:]))<<32,
		mtime: modTime(b),
		links: int(le.Uint16(b[26:])),
		uid:   uint32(le.Uint16(b[2:])) | uint32(le.Uint16(b[120:]))<<16,
		gid:   uint32(le.Uint16(b[24:])) | uint32(le.Uint16(b[122:]))<<16,
	}
	copy(i.tree[:], b[40:])
	if i.size < 0 || i.size > f.blockSize<<32 { // the most that extents reach
		return nil, fmt.Errorf("inode %d has %d bytes: %w", number, i.size, errDamaged)
	}
	return i, nil
}

// rawInode reads the first bytes of an inode.
func (f *FS) rawInode(number uint32, bytes int64) ([]byte, error) {
	if number == 0 || number > f.inodes {
		return nil, fmt.Errorf("there is no inode %d: %w", number, errDamaged)
	}
	group, index := int64((number-1)/f.inodesPerGroup), int64((number-1)%f.inodesPerGroup)
	room := make([]byte, f.descSize+bytes)
	desc := room[:f.descSize]
	if err := f.block(desc, f.firstBlock+1, group*f.descSize); err != nil {
		return nil, err
	}
	table := int64(le.Uint32(desc[8:]))
	if f.descSize >= 64 {
		table |= int64(le.Uint32(desc[40:])) << 32
	}
	b := room[f.descSize:]
	return b, f.block(b, table, index*f.inodeSize)
}

// modTime is i_mtime with, in inodes that have it, i_mtime_extra.
func modTime(inode []byte) time.Time {
	seconds, nanos := int64(int32(le.Uint32(inode[16:]))), int64(0)
	const extraEnd = wideBytes - inodeBytes // i_extra_isize counts from inodeBytes on
	if len(inode) == wideBytes && le.Uint16(inode[inodeBytes:]) >= extraEnd {
		extra := int64(le.Uint32(inode[136:]))
		seconds += (extra & 3) << 32
		nanos = min(extra>>2, 999_999_999)
	}
	return time.Unix(seconds, nanos).UTC()
}

// Name implements fs.FileInfo.
func (i *inode) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i *inode) Size() int64 { return i.size }

// ModTime implements fs.FileInfo.
func (i *inode) ModTime() time.Time { return i.mtime }

// IsDir implements fs.FileInfo.
func (i *inode) IsDir() bool { return i.mode&typeMask == typeDir }

// Sys implements fs.FileInfo: it is an Attr.
func (i *inode) Sys() any { return Attr{i} }

// Mode implements fs.FileInfo.
func (i *inode) Mode() fs.FileMode { return fileMode(i.mode) }

// ReadAt implements io.ReaderAt. What is in no extent is a hole and reads as zeros.
func (i *inode) ReadAt(p []byte, off int64) (int, error) {
	if i.flags&flagExtents == 0 {
		return 0, fmt.Errorf("the file has no extents: %w", errDamaged)
	}
	if off < 0 || off >= i.size {
		return 0, io.EOF
	}
	var end error
	if left := i.size - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	var node []byte
	for done := 0; done < len(p); {
		at := off + int64(done)
		e, err := i.find(at/i.fsys.blockSize, &node)
		if err != nil {
			return done, err
		}
		part := p[done:]
		part = part[:min(int64(len(part)), e.end*i.fsys.blockSize-at)]
		if e.hole {
			clear(part)
		} else if err := i.fsys.block(part, e.physical, at-e.begin*i.fsys.blockSize); err != nil {
			return done, err
		}
		done += len(part)
	}
	return len(p), end
}

// maxHoles bounds how many holes that follow each other are passed over: a file that
// nobody made to lie has one.
const maxHoles = 1000

// firstData returns where the first extent begins in which something was written; the
// file's size if there is none.
func (i *inode) firstData() (int64, error) {
	begin, _, err := i.nextData(0)
	return begin, err
}

// nextData returns the first run of data that begins or lies at or behind an offset.
func (i *inode) nextData(offset int64) (begin, end int64, err error) {
	if i.flags&flagExtents == 0 {
		return 0, 0, fmt.Errorf("the file has no extents: %w", errDamaged)
	}
	var node []byte
	block := offset / i.fsys.blockSize
	for range maxHoles {
		if block*i.fsys.blockSize >= i.size {
			return i.size, i.size, nil
		}
		e, err := i.find(block, &node)
		if err != nil {
			return 0, 0, err
		}
		if !e.hole {
			return max(offset, block*i.fsys.blockSize), min(i.size, e.end*i.fsys.blockSize), nil
		}
		block = e.end
	}
	return 0, 0, fmt.Errorf("the file has more than %d holes in a row: %w", maxHoles, errDamaged)
}

// extent is a run of blocks of a file.
type extent struct {
	begin, end int64 // in the file
	physical   int64 // of its first block
	hole       bool
}

const (
	nodeMagic  = 0xF30A
	nodeHeader = 12
	nodeEntry  = 12
	maxDepth   = 5
	maxInit    = 32768 // longer extents are allocated and not written: they read as zeros
)

// find returns the extent, or the hole, in which a block of the file lies. room is
// for a node of the tree, made when it is needed.
func (i *inode) find(block int64, room *[]byte) (extent, error) {
	node := i.tree[:]
	limit := int64(1) << 32 // where the next subtree begins
	for depth := -1; ; {
		entries, level := int(le.Uint16(node[2:])), int(le.Uint16(node[6:]))
		if le.Uint16(node) != nodeMagic || entries > (len(node)-nodeHeader)/nodeEntry || level > maxDepth || depth >= 0 && level != depth-1 {
			return extent{}, fmt.Errorf("its extent tree is invalid: %w", errDamaged)
		}
		depth = level
		// The last entry that does not begin behind block.
		var entry []byte
		for n := range entries {
			next := node[nodeHeader+n*nodeEntry:][:nodeEntry]
			if begin := int64(le.Uint32(next)); begin > block {
				limit = min(limit, begin)
				break
			}
			entry = next
		}
		switch {
		case entry == nil:
			return extent{begin: block, end: limit, hole: true}, nil
		case depth == 0:
			return leaf(entry, block, limit), nil
		}
		child := int64(le.Uint32(entry[4:])) | int64(le.Uint16(entry[8:]))<<32
		if *room == nil {
			*room = make([]byte, i.fsys.blockSize)
		}
		node = *room
		if err := i.fsys.block(node, child, 0); err != nil {
			return extent{}, err
		}
	}
}

// leaf is the extent of an entry, or the hole behind it, in which block lies.
func leaf(entry []byte, block, limit int64) extent {
	begin, length := int64(le.Uint32(entry)), int64(le.Uint16(entry[4:]))
	hole := length > maxInit
	if hole {
		length -= maxInit
	}
	if block >= begin+length {
		return extent{begin: block, end: limit, hole: true}
	}
	physical := int64(le.Uint16(entry[6:]))<<32 | int64(le.Uint32(entry[8:]))
	return extent{begin: begin, end: min(begin+length, limit), physical: physical, hole: hole}
}
