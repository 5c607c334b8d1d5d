package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"banger"
)

// What an image may be: no known one comes near to it.
const (
	maxDocumentBytes = 4 << 20 // of an index, a manifest or a configuration
	maxLayers        = 128
	maxIndexDepth    = 4
)

// Source has the blobs of images. Safe for concurrent use.
type Source interface {
	// Root returns where to begin: the descriptor of an index or a manifest.
	Root(ctx context.Context) (v1.Descriptor, error)
	// Blob returns a blob, from a byte on, which the caller closes. It fails with
	// CodeNotFound if there is none. What it yields may be anything.
	Blob(ctx context.Context, d v1.Descriptor, from int64) (io.ReadCloser, error)
	// String names the source, for people.
	String() string
}

// Image is one for a platform, whose layers are still where they come from.
type Image struct {
	Source   Source
	Manifest v1.Descriptor
	Config   v1.ConfigFile
	// Layers are the lowest first. The digest of one is its DiffID where no other is known,
	// as in what docker save wrote until version 24.
	Layers []v1.Descriptor
}

// DiffIDs returns the digests of the layers, uncompressed.
func (i *Image) DiffIDs() []v1.Hash { return i.Config.RootFS.DiffIDs }

// Find returns the image of a source for a platform.
func Find(ctx context.Context, s Source, platform v1.Platform) (*Image, error) {
	root, err := s.Root(ctx)
	if err != nil {
		return nil, err
	}
	d, err := find(ctx, s, root, platform, maxIndexDepth)
	if err != nil {
		return nil, err
	}
	manifest, err := document[v1.Manifest](ctx, s, d)
	if err != nil {
		return nil, err
	}
	config, err := document[v1.ConfigFile](ctx, s, manifest.Config)
	if err != nil {
		return nil, err
	}
	i := &Image{Source: s, Manifest: d, Config: config, Layers: manifest.Layers}
	return i, i.check(platform)
}

// find follows indexes to the manifest for a platform.
func find(ctx context.Context, s Source, d v1.Descriptor, platform v1.Platform, depth int) (v1.Descriptor, error) {
	if !d.MediaType.IsIndex() {
		if d.MediaType != "" && !d.MediaType.IsImage() {
			return d, banger.Errorf(banger.CodeInvalid, "cannot take %s: it is not an image but %s", s, d.MediaType)
		}
		return d, nil
	}
	if depth == 0 {
		return d, banger.Errorf(banger.CodeInvalid, "cannot take %s: its indexes are nested more than %d deep", s, maxIndexDepth)
	}
	index, err := document[v1.IndexManifest](ctx, s, d)
	if err != nil {
		return d, err
	}
	chosen, err := choose(index.Manifests, platform)
	if err != nil {
		return d, fmt.Errorf("cannot take %s: %w", s, err)
	}
	return find(ctx, s, chosen, platform, depth-1)
}

// attestationType is an annotation of what BuildKit puts beside images.
const attestationType = "vnd.docker.reference.type"

// choose returns the entry of an index for a platform: the first that is of it, or the only
// one that does not say of which it is.
func choose(entries []v1.Descriptor, want v1.Platform) (v1.Descriptor, error) {
	var silent []v1.Descriptor
	var others []string
	for _, d := range entries {
		switch {
		case d.Annotations[attestationType] != "" || d.Platform != nil && d.Platform.OS == "unknown":
		case !d.MediaType.IsImage() && !d.MediaType.IsIndex():
		case d.Platform == nil:
			silent = append(silent, d)
		case d.Platform.Satisfies(want):
			return d, nil
		default:
			others = append(others, d.Platform.String())
		}
	}
	switch {
	case len(silent) == 1:
		return silent[0], nil
	case len(silent) > 1:
		return v1.Descriptor{}, banger.Errorf(banger.CodeInvalid, "it has %d images, and does not say which is for %s", len(silent), want)
	case len(others) == 0:
		return v1.Descriptor{}, banger.Errorf(banger.CodeInvalid, "it has no image")
	}
	return v1.Descriptor{}, banger.Errorf(banger.CodeMismatch, "it has no image for %s but for %v", want, others).
		WithHint("a guest has the architecture of its host; take an image that is built for it")
}

// check looks whether the parts of an image fit each other and the platform.
func (i *Image) check(platform v1.Platform) error {
	layers, diffs := len(i.Layers), len(i.Config.RootFS.DiffIDs)
	switch {
	case layers > maxLayers:
		return banger.Errorf(banger.CodeInvalid, "cannot take %s: it has %d layers, more than %d", i.Source, layers, maxLayers)
	case layers != diffs:
		return banger.Errorf(banger.CodeInvalid, "cannot take %s: it has %d layers, and its configuration names %d", i.Source, layers, diffs)
	}
	is := v1.Platform{OS: i.Config.OS, Architecture: i.Config.Architecture, Variant: i.Config.Variant}
	if is.OS != platform.OS || is.Architecture != platform.Architecture {
		return banger.Errorf(banger.CodeMismatch, "cannot take %s: it is for %s, and the guest for %s", i.Source, is, platform).
			WithHint("a guest has the architecture of its host; take an image that is built for it")
	}
	for _, l := range i.Layers {
		if !l.MediaType.IsLayer() || !l.MediaType.IsDistributable() {
			return banger.Errorf(banger.CodeInvalid, "cannot take %s: a layer of it is %s, which cannot be had or read", i.Source, l.MediaType)
		}
	}
	return nil
}

// document reads one that a descriptor names, which is bounded and has its digest.
func document[T any](ctx context.Context, s Source, d v1.Descriptor) (v T, err error) {
	if d.Size > maxDocumentBytes {
		return v, banger.Errorf(banger.CodeInvalid, "cannot take %s: a document of %d bytes", s, d.Size)
	}
	r, err := s.Blob(ctx, d, 0)
	if err != nil {
		return v, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxDocumentBytes+1))
	if err != nil {
		return v, fmt.Errorf("cannot read %s: %w", s, err)
	}
	if len(data) > maxDocumentBytes {
		return v, banger.Errorf(banger.CodeInvalid, "cannot take %s: a document of more than %d bytes", s, maxDocumentBytes)
	}
	if d.Digest.Hex != "" {
		got, _, err := v1.SHA256(bytes.NewReader(data))
		if err != nil {
			return v, err
		}
		if got != d.Digest {
			return v, banger.Errorf(banger.CodeCorrupt, "cannot take %s: what is called %s has the digest %s", s, d.Digest, got)
		}
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, banger.Errorf(banger.CodeInvalid, "cannot take %s: %w", s, err)
	}
	return v, nil
}

// indexType is what the index of a layout is, which has no descriptor.
const indexType = types.OCIImageIndex
