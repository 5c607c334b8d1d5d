package ext4fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Attr is what an inode holds besides its fs.FileInfo, whose Sys it is. What has to be read
// for it is read when it is asked for.
type Attr struct{ inode *inode }

// Inode returns the number, which is unique in the file system: two names that have it are
// hard links of each other.
func (a Attr) Inode() uint32 { return a.inode.number }

// Links returns how many names it says that it has.
func (a Attr) Links() int { return a.inode.links }

// Owner returns the user and the group to whom it belongs.
func (a Attr) Owner() (uid, gid uint32) { return a.inode.uid, a.inode.gid }

// Device returns the numbers of a device; both are 0 for all else.
func (a Attr) Device() (major, minor uint32) {
	if t := a.inode.mode & typeMask; t != typeChar && t != typeBlock {
		return 0, 0
	}
	if old := le.Uint32(a.inode.tree[0:]); old != 0 { // 8 bits each
		return old >> 8 & 0xFF, old & 0xFF
	}
	wide := le.Uint32(a.inode.tree[4:])
	return wide >> 8 & 0xFFF, wide&0xFF | wide>>12&0xFFF00
}

// Target returns where a symbolic link leads.
func (a Attr) Target() (string, error) {
	i := a.inode
	if i.mode&typeMask != typeLink {
		return "", fmt.Errorf("%s is not a symbolic link", i.name)
	}
	if i.size > maxTargetBytes {
		return "", fmt.Errorf("a symbolic link of %d bytes: %w", i.size, errDamaged)
	}
	if i.size < mapBytes && i.flags&flagExtents == 0 {
		return string(i.tree[:i.size]), nil
	}
	target := make([]byte, i.size)
	if _, err := i.ReadAt(target, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(target), nil
}

// maxTargetBytes is PATH_MAX, path_resolution(7).
const maxTargetBytes = 4096

// The attributes that the kernel's Documentation/filesystems/ext4/attributes.rst describes.
const (
	xattrMagic      = 0xEA020000
	xattrEntryBytes = 16 // without the name
	xattrBlockStart = 32
	maxXattrBytes   = 64 << 10 // of a value: XATTR_SIZE_MAX of xattr(7)
)

// Xattrs returns the extended attributes by their names. Lists of access control,
// system.posix_acl_access and _default, are in the form in which ext4 stores them.
func (a Attr) Xattrs() (map[string][]byte, error) {
	i := a.inode
	all := map[string][]byte{}
	room, err := i.fsys.rawInode(i.number, i.fsys.inodeSize)
	if err != nil {
		return nil, err
	}
	if int64(len(room)) >= wideBytes {
		extra := int(le.Uint16(room[inodeBytes:]))
		if begin := inodeBytes + extra; extra > 0 && begin+4 <= len(room) && le.Uint32(room[begin:]) == xattrMagic {
			if err := readXattrs(all, room[begin+4:], room[begin+4:]); err != nil {
				return nil, fmt.Errorf("attributes of inode %d: %w", i.number, err)
			}
		}
	}
	number := int64(le.Uint32(room[104:])) | int64(le.Uint16(room[118:]))<<32
	if number == 0 {
		return all, nil
	}
	block := make([]byte, i.fsys.blockSize)
	if err := i.fsys.block(block, number, 0); err != nil {
		return nil, err
	}
	if le.Uint32(block) != xattrMagic {
		return nil, fmt.Errorf("attributes of inode %d: %w", i.number, errDamaged)
	}
	if err := readXattrs(all, block[xattrBlockStart:], block); err != nil {
		return nil, fmt.Errorf("attributes of inode %d: %w", i.number, err)
	}
	return all, nil
}

// readXattrs adds those whose entries lie in entries; their values lie in values.
func readXattrs(all map[string][]byte, entries, values []byte) error {
	for len(entries) >= 4 && le.Uint32(entries) != 0 {
		if len(entries) < xattrEntryBytes {
			return errDamaged
		}
		nameLen, offset := int(entries[0]), int(le.Uint16(entries[2:]))
		inode, size := le.Uint32(entries[4:]), int64(le.Uint32(entries[8:]))
		if inode != 0 || size > maxXattrBytes || xattrEntryBytes+nameLen > len(entries) || int64(offset)+size > int64(len(values)) {
			return errDamaged
		}
		if prefix, ok := xattrPrefix(entries[1]); ok {
			all[prefix+string(entries[xattrEntryBytes:][:nameLen])] = bytes.Clone(values[offset:][:size])
		}
		entries = entries[min(len(entries), (xattrEntryBytes+nameLen+3)&^3):]
	}
	return nil
}

// xattrPrefix returns what a name begins with, of which ext4 stores a number.
func xattrPrefix(index byte) (string, bool) {
	switch index {
	case 0:
		return "", true
	case 1:
		return "user.", true
	case 2:
		return "system.posix_acl_access", true
	case 3:
		return "system.posix_acl_default", true
	case 4:
		return "trusted.", true
	case 6:
		return "security.", true
	case 7:
		return "system.", true
	}
	return "", false
}

// fileMode is i_mode as Go has it.
func fileMode(mode uint16) fs.FileMode {
	m := fs.FileMode(mode) & fs.ModePerm
	for _, bit := range []struct {
		ext4 uint16
		go_  fs.FileMode
	}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}} {
		if mode&bit.ext4 != 0 {
			m |= bit.go_
		}
	}
	switch mode & typeMask {
	case typeRegular:
		return m
	case typeDir:
		return m | fs.ModeDir
	case typeLink:
		return m | fs.ModeSymlink
	case typeChar:
		return m | fs.ModeDevice | fs.ModeCharDevice
	case typeBlock:
		return m | fs.ModeDevice
	case typeFIFO:
		return m | fs.ModeNamedPipe
	case typeSocket:
		return m | fs.ModeSocket
	}
	return m | fs.ModeIrregular
}
