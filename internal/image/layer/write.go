package layer

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"banger/internal/overlay"
)

const xattrRecord = "SCHILY.xattr." // begins the name of a PAX record, star(5)

// Write writes a layer as an archive of what has to be in its file system, over that of the
// layers below: directories before what is in them, each file before its other names, each
// name once, whiteouts and opaque directories as overlayfs has them.
func Write(ctx context.Context, w io.Writer, a *Archive, below *overlay.FS) error {
	t, err := newTree(a, below)
	if err != nil {
		return err
	}
	out := &writer{ctx: ctx, tree: t, tar: tar.NewWriter(w), names: map[*inode]string{}}
	if err := out.dir(t.root, "."); err != nil {
		return fmt.Errorf("cannot write layer: %w", err)
	}
	return out.tar.Close()
}

// writer writes a tree.
type writer struct {
	ctx   context.Context //nolint:containedctx // of one call of Write
	tree  *tree
	tar   *tar.Writer
	names map[*inode]string // under which a file was written
}

// dir writes a directory and what is in it.
func (w *writer) dir(n *node, name string) error {
	h, _, err := w.header(n, name)
	if err != nil {
		return err
	}
	if n.opaque && n.over != nil && n.over.IsDir() {
		h.PAXRecords[xattrRecord+overlay.OpaqueXattr] = "y"
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, base := range slices.Sorted(maps.Keys(n.removed)) {
		h := &tar.Header{Name: path.Join(name, base), Typeflag: tar.TypeChar, Format: tar.FormatPAX}
		if err := w.tar.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	for _, base := range slices.Sorted(maps.Keys(n.children)) {
		if err := w.ctx.Err(); err != nil {
			return context.Cause(w.ctx)
		}
		child := n.children[base]
		if child.isDir() {
			err = w.dir(child, path.Join(name, base))
		} else {
			err = w.file(child, path.Join(name, base))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file writes a file, or another name of one.
func (w *writer) file(n *node, name string) error {
	if first, ok := w.names[n.inode]; ok {
		return w.tar.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: first, Format: tar.FormatPAX})
	}
	h, content, err := w.header(n, name)
	if err != nil {
		return err
	}
	w.names[n.inode] = name
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	if closer, ok := content.(io.Closer); ok {
		defer closer.Close()
	}
	if _, err := io.Copy(w.tar, content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// header returns how a node is written, and what a regular file holds.
func (w *writer) header(n *node, name string) (*tar.Header, io.Reader, error) {
	var h *tar.Header
	var content io.Reader
	var err error
	switch i := n.inode; {
	case i.entry != nil:
		h, content, err = w.tree.archive.open(*i.entry)
		if err == nil {
			h = fromArchive(h, i.entry.typ)
		}
	case i.below != "":
		h, content, err = w.tree.copyBelow(i.below)
	case n.over != nil && n.over.IsDir() && !n.replaced:
		h, err = fromBelow(n.over)
	default:
		h = &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, PAXRecords: map[string]string{}}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	h.Name, h.Format = name, tar.FormatPAX
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	}
	return h, content, nil
}

// fromArchive keeps of an entry's header what its inode holds.
func fromArchive(h *tar.Header, typ byte) *tar.Header {
	kept := &tar.Header{
		Typeflag: typ, Size: h.Size, Mode: h.Mode & 0o7777, Uid: h.Uid, Gid: h.Gid,
		ModTime: h.ModTime, AccessTime: h.ModTime, ChangeTime: h.ModTime, PAXRecords: map[string]string{},
	}
	switch typ {
	case tar.TypeSymlink:
		kept.Linkname, kept.Size = h.Linkname, 0
	case tar.TypeChar, tar.TypeBlock:
		kept.Devmajor, kept.Devminor, kept.Size = h.Devmajor, h.Devminor, 0
	case tar.TypeReg:
	default:
		kept.Size = 0
	}
	for record, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(record, xattrRecord)
		if !ok || strings.HasPrefix(name, "trusted.overlay.") { // overlayfs's own
			continue
		}
		if value, ok := xattrOnDisk(name, value); ok {
			kept.PAXRecords[record] = value
		}
	}
	return kept
}

// xattrOnDisk is an attribute as ext4 stores it. Lists of access control have a form of
// their own there: version 1, without an id where none is meant
// (Documentation/filesystems/ext4/attributes.rst; fs/ext4/acl.h).
func xattrOnDisk(name, value string) (string, bool) {
	if name != "system.posix_acl_access" && name != "system.posix_acl_default" {
		return value, true
	}
	const header, entryBytes = 4, 8
	le := binary.LittleEndian
	b := []byte(value)
	if len(b) < header || le.Uint32(b) != 2 || (len(b)-header)%entryBytes != 0 {
		return "", false
	}
	disk := le.AppendUint32(nil, 1)
	for b = b[header:]; len(b) > 0; b = b[entryBytes:] {
		disk = append(disk, b[:4]...)
		if tag := le.Uint16(b); tag == 2 || tag == 8 { // ACL_USER, ACL_GROUP
			disk = append(disk, b[4:entryBytes]...)
		}
	}
	return string(disk), true
}

// copyBelow returns the header and the content of a file below.
func (t *tree) copyBelow(name string) (*tar.Header, io.Reader, error) {
	info, err := t.below.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	h, err := fromBelow(info)
	if err != nil || h.Typeflag != tar.TypeReg {
		return h, nil, err
	}
	content, err := t.below.Open(name)
	return h, content, err
}

// fromBelow is the header of what lies below.
func fromBelow(info fs.FileInfo) (*tar.Header, error) {
	i := info.Sys().(Inode)
	uid, gid := i.Owner()
	major, minor := i.Device()
	h := &tar.Header{
		Mode: unixMode(info.Mode()), Uid: int(uid), Gid: int(gid), Devmajor: int64(major), Devminor: int64(minor),
		ModTime: info.ModTime(), AccessTime: info.ModTime(), ChangeTime: info.ModTime(), PAXRecords: map[string]string{},
	}
	var err error
	switch info.Mode().Type() {
	case 0:
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		h.Linkname, err = i.Target()
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
	case fs.ModeDevice:
		h.Typeflag = tar.TypeBlock
	case fs.ModeDevice | fs.ModeCharDevice:
		h.Typeflag = tar.TypeChar
	default:
		err = fmt.Errorf("it cannot be in a layer: %v", info.Mode())
	}
	if err != nil {
		return nil, err
	}
	xattrs, err := i.Xattrs()
	for name, value := range xattrs {
		if !strings.HasPrefix(name, "trusted.overlay.") {
			h.PAXRecords[xattrRecord+name] = string(value)
		}
	}
	return h, err
}

// unixMode is the part of a mode that chmod(2) sets.
func unixMode(m fs.FileMode) int64 {
	mode := int64(m.Perm())
	for bit, unix := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			mode |= unix
		}
	}
	return mode
}

// elements yields those of a clean path.
func elements(name string) iter.Seq[string] {
	if name == "." {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(name, "/")
}
