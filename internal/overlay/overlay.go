// Package overlay reads file systems as the kernel's overlayfs stacks them
// (Documentation/filesystems/overlayfs.rst), without mounting them: a name in an upper one
// hides that in all below it, directories are merged, a character device 0:0 is a name that
// was removed, and a directory with the attribute trusted.overlay.opaque hides what is below
// it. Of the rest of the format (redirects, files that are only metadata) nothing is known:
// file systems that have these are not to be read with it.
package overlay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// OpaqueXattr marks a directory that hides those of its name below it, with the value "y".
const OpaqueXattr = "trusted.overlay.opaque"

// Attributes is what Sys of a layer's fs.FileInfo has to offer; ext4fs.Attr does.
type Attributes interface {
	Device() (major, minor uint32)
	Xattrs() (map[string][]byte, error)
}

// FS is a stack of file systems, each of them with Stat that follows no link and with
// Attributes. It is safe for concurrent use if they are.
type FS struct {
	layers []fs.StatFS // the uppermost first
}

// New returns a stack, of which the first is the uppermost.
func New(layers ...fs.StatFS) *FS { return &FS{slices.Clone(layers)} }

// found is what a path means.
type found struct {
	info   fs.FileInfo
	layers []int // that have it: one, or of a directory those that are merged
}

// Stat implements fs.StatFS. It follows no link.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	x, err := f.lookUp("stat", name)
	return x.info, err
}

// Layer returns which layer a path is in, counted from the uppermost; of a directory that
// is merged the uppermost that has it.
func (f *FS) Layer(name string) (int, error) {
	x, err := f.lookUp("stat", name)
	if err != nil {
		return 0, err
	}
	return x.layers[0], nil
}

// Open implements fs.FS. Its directories are fs.ReadDirFile.
func (f *FS) Open(name string) (fs.File, error) {
	x, err := f.lookUp("open", name)
	if err != nil {
		return nil, err
	}
	if x.info.IsDir() {
		return &dir{fsys: f, name: name, found: x}, nil
	}
	return f.layers[x.layers[0]].Open(name)
}

// lookUp finds what a path means, one element after the other.
func (f *FS) lookUp(op, name string) (found, error) {
	if !fs.ValidPath(name) {
		return found{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	x, err := f.merge(".", f.all())
	at := "."
	for element := range strings.SplitSeq(name, "/") {
		if err != nil || element == "." {
			break
		}
		if !x.info.IsDir() {
			err = fs.ErrNotExist
			break
		}
		at = path.Join(at, element)
		x, err = f.merge(at, x.layers)
	}
	if err != nil {
		if inner, ok := errors.AsType[*fs.PathError](err); ok {
			err = inner.Err
		}
		return found{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return x, nil
}

func (f *FS) all() (layers []int) {
	for n := range f.layers {
		layers = append(layers, n)
	}
	return layers
}

// merge returns what a path means whose directory is merged of some layers.
func (f *FS) merge(name string, layers []int) (found, error) {
	var x found
	for _, n := range layers {
		info, err := f.layers[n].Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return x, err
		}
		if Whiteout(info) || x.info != nil && !info.IsDir() {
			break
		}
		if x.info == nil {
			x.info = info
		}
		x.layers = append(x.layers, n)
		opaque, err := f.opaque(info)
		if err != nil {
			return x, err
		}
		if !info.IsDir() || opaque {
			break
		}
	}
	if x.info == nil {
		return x, fs.ErrNotExist
	}
	return x, nil
}

// Whiteout reports whether a name is one that was removed.
func Whiteout(info fs.FileInfo) bool {
	if info.Mode().Type() != fs.ModeDevice|fs.ModeCharDevice {
		return false
	}
	a, ok := info.Sys().(Attributes)
	if !ok {
		return false
	}
	major, minor := a.Device()
	return major == 0 && minor == 0
}

func (f *FS) opaque(info fs.FileInfo) (bool, error) {
	a, ok := info.Sys().(Attributes)
	if !ok || !info.IsDir() {
		return false, nil
	}
	xattrs, err := a.Xattrs()
	return string(xattrs[OpaqueXattr]) == "y", err
}

// dir is an open directory.
type dir struct {
	fsys *FS
	name string
	found
	list []fs.DirEntry
	read bool
}

// Stat implements fs.File.
func (d *dir) Stat() (fs.FileInfo, error) { return d.info, nil }

// Read implements fs.File.
func (d *dir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: fmt.Errorf("it is a directory")}
}

// Close implements fs.File.
func (*dir) Close() error { return nil }

// ReadDir implements fs.ReadDirFile.
func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		if err := d.readAll(); err != nil {
			return nil, err
		}
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

// readAll merges what the layers have: the uppermost that has a name decides.
func (d *dir) readAll() error {
	decided := map[string]bool{}
	for _, n := range d.layers {
		entries, err := fs.ReadDir(d.fsys.layers[n], d.name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if decided[e.Name()] {
				continue
			}
			decided[e.Name()] = true
			info, err := e.Info()
			if err != nil {
				return err
			}
			if !Whiteout(info) {
				d.list = append(d.list, e)
			}
		}
	}
	slices.SortFunc(d.list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return nil
}
