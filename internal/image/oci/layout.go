package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"banger"
)

// layout is an image layout in a file system, whose index.json is the root.
type layout struct {
	name string
	fsys fs.FS
}

const layoutIndex = "index.json"

// FromLayout returns the source of an image layout, image-layout.md of the image-spec. name
// is for people.
func FromLayout(name string, fsys fs.FS) (Source, error) {
	if _, err := fs.Stat(fsys, layoutIndex); err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot take %s: it is not an image layout: %w", name, err)
	}
	return &layout{name, fsys}, nil
}

func (l *layout) String() string { return l.name }

// Root implements Source. The index has no digest of its own.
func (l *layout) Root(context.Context) (v1.Descriptor, error) {
	return v1.Descriptor{MediaType: indexType}, nil
}

// Blob implements Source.
func (l *layout) Blob(_ context.Context, d v1.Descriptor, from int64) (io.ReadCloser, error) {
	name := layoutIndex
	if d.Digest.Hex != "" {
		name = path.Join("blobs", d.Digest.Algorithm, d.Digest.Hex)
	}
	return openAt(l.name, l.fsys, name, from)
}

// openAt opens a file of a source from a byte on.
func openAt(source string, fsys fs.FS, name string, from int64) (io.ReadCloser, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, banger.Errorf(banger.CodeNotFound, "cannot take %s: it has no %s", source, name).
			WithHint("it may have been saved for another platform, or not in full")
	}
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot read %s: %w", source, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = banger.Errorf(banger.CodeInvalid, "%s is not a regular file", name)
	}
	if err == nil && from > 0 {
		if seeker, ok := f.(io.Seeker); ok {
			_, err = seeker.Seek(from, io.SeekStart)
		} else {
			_, err = io.CopyN(io.Discard, f, from)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read %s: %w", source, err), f.Close())
	}
	return f, nil
}
