package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"banger"
)

const maxTarballEntries = 10_000

// FromTarball returns the source of an archive of an image layout, or of one that docker
// save or podman save has written, of any version. The file stays the caller's.
func FromTarball(name string, file io.ReaderAt, size int64) (Source, error) {
	t := &tarball{file: file, members: map[string]member{}}
	if err := t.read(size); err != nil {
		return nil, unreadable(name, err)
	}
	if _, ok := t.members[layoutIndex]; ok { // docker since version 25 writes both
		return FromLayout(name, t)
	}
	if _, ok := t.members[saveManifest]; ok {
		return newSaved(name, t)
	}
	return nil, banger.Errorf(banger.CodeInvalid, "cannot take %s: it has neither %s nor %s, so it is not an image", name, layoutIndex, saveManifest).
		WithHint("write it with docker save, podman save or skopeo copy")
}

// unreadable is the error for a file that is not an archive, or not a whole one.
func unreadable(name string, cause error) error {
	if _, host := errors.AsType[*fs.PathError](cause); host {
		return fmt.Errorf("cannot read %s: %w", name, cause)
	}
	return banger.Errorf(banger.CodeInvalid, "cannot take %s: it is not an archive, or was cut off: %w", name, cause).
		WithHint("write it with docker save, podman save or skopeo copy")
}

// tarball is an archive as a file system without directories.
type tarball struct {
	file    io.ReaderAt
	members map[string]member
}

// member is where a regular file of the archive lies.
type member struct{ begin, size int64 }

// read learns the members. Links, which docker save has written for equal layers, are
// members, too.
func (t *tarball) read(size int64) error {
	section := io.NewSectionReader(t.file, 0, size)
	archive := tar.NewReader(section)
	links := map[string]string{}
	for range maxTarballEntries {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			for name, target := range links {
				if m, ok := t.members[target]; ok {
					t.members[name] = m
				}
			}
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			begin, err := section.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			t.members[name] = member{begin, h.Size}
		case tar.TypeSymlink:
			links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			links[name] = path.Clean(h.Linkname)
		}
	}
	return banger.Errorf(banger.CodeInvalid, "it has more than %d entries", maxTarballEntries)
}

// Open implements fs.FS.
func (t *tarball) Open(name string) (fs.File, error) {
	m, ok := t.members[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return memberFile{io.NewSectionReader(t.file, m.begin, m.size), memberInfo{path.Base(name), m.size}}, nil
}

type memberFile struct {
	*io.SectionReader
	info memberInfo
}

func (f memberFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (memberFile) Close() error                 { return nil }

// memberInfo is an fs.FileInfo.
type memberInfo struct {
	name string
	size int64
}

func (i memberInfo) Name() string     { return i.name }
func (i memberInfo) Size() int64      { return i.size }
func (memberInfo) Mode() fs.FileMode  { return 0o444 }
func (memberInfo) ModTime() time.Time { return time.Time{} }
func (memberInfo) IsDir() bool        { return false }
func (memberInfo) Sys() any           { return nil }

// saveManifest lists the images that docker save has written.
const saveManifest = "manifest.json"

// saved is what docker save wrote until version 24: a list of images, of which one is made a
// manifest here. Its layers are called by their DiffIDs, which are their digests unless
// somebody has compressed them.
type saved struct {
	name     string
	files    *tarball
	manifest []byte
	layers   map[v1.Hash]string // names of files
	config   string
	tag      string // the image's name, "" if it has none
}

// saveEntry is one of saveManifest.
type saveEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func newSaved(name string, files *tarball) (Source, error) {
	var entries []saveEntry
	if _, err := files.decode(saveManifest, &entries); err != nil {
		return nil, fmt.Errorf("cannot take %s: %w", name, err)
	}
	if len(entries) != 1 {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot take %s: it has %d images", name, len(entries)).
			WithHint("save the one that you want alone")
	}
	s := &saved{name: name, files: files, layers: map[v1.Hash]string{}, config: path.Clean(entries[0].Config)}
	if len(entries[0].RepoTags) > 0 {
		s.tag = entries[0].RepoTags[0]
	}
	var config v1.ConfigFile
	raw, err := files.decode(s.config, &config)
	if err != nil {
		return nil, fmt.Errorf("cannot take %s: %w", name, err)
	}
	if len(config.RootFS.DiffIDs) != len(entries[0].Layers) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot take %s: it has %d layers, and its configuration names %d",
			name, len(entries[0].Layers), len(config.RootFS.DiffIDs))
	}
	document, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: v1.Descriptor{
		MediaType: types.DockerConfigJSON, Digest: document, Size: int64(len(raw)),
	}}
	for i, layer := range entries[0].Layers {
		id := config.RootFS.DiffIDs[i]
		s.layers[id] = path.Clean(layer)
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.DockerUncompressedLayer, Digest: id, Size: files.members[path.Clean(layer)].size})
	}
	s.manifest, err = json.Marshal(m)
	return s, err
}

// decode reads a document, and returns it as it is, too.
func (t *tarball) decode(name string, v any) (raw []byte, err error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "it has no %s", name)
	}
	raw, err = io.ReadAll(io.LimitReader(f, maxDocumentBytes))
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "%s: %w", name, err)
	}
	return raw, nil
}

func (s *saved) String() string { return s.name }

// Root implements Source.
func (s *saved) Root(context.Context) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: types.DockerManifestSchema2}
	if s.tag != "" {
		d.Annotations = map[string]string{fullNameAnnotation: s.tag}
	}
	return d, nil
}

// Blob implements Source.
func (s *saved) Blob(_ context.Context, d v1.Descriptor, from int64) (io.ReadCloser, error) {
	switch {
	case d.MediaType == types.DockerManifestSchema2:
		return io.NopCloser(bytes.NewReader(s.manifest[min(from, int64(len(s.manifest))):])), nil
	case d.MediaType == types.DockerConfigJSON:
		return openAt(s.name, s.files, s.config, from)
	}
	return openAt(s.name, s.files, s.layers[d.Digest], from)
}
