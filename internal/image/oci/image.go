package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

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
	Manifest v1.Descriptor // without a digest if there is no manifest, as in what docker save wrote until version 24
	Config   v1.ConfigFile
	// ConfigDigest is that of the configuration.
	ConfigDigest v1.Hash
	// Name is what the image is called where it lies, whole or only its tag; empty if unknown.
	Name string
	// Layers are the lowest first. The digest of one is its DiffID where no other is known,
	// as in what docker save wrote until version 24.
	Layers []v1.Descriptor
}

// DiffIDs returns the digests of the layers, uncompressed.
func (i *Image) DiffIDs() []v1.Hash { return i.Config.RootFS.DiffIDs }

// Find returns the image of a source for a platform; of one with several images that with
// the tag, if one is given.
func Find(ctx context.Context, s Source, platform v1.Platform, tag string) (*Image, error) {
	root, err := s.Root(ctx)
	if err != nil {
		return nil, err
	}
	f := finder{source: s, platform: platform, tag: tag, name: nameIn(root)}
	d, err := f.find(ctx, root, maxIndexDepth)
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
	i := &Image{Source: s, Manifest: d, Config: config, ConfigDigest: manifest.Config.Digest, Name: f.name, Layers: manifest.Layers}
	return i, i.check(platform)
}

// finder looks for an image in a source.
type finder struct {
	source   Source
	platform v1.Platform
	tag      string
	name     string // of the image, as far as it is known
}

// find follows indexes to the manifest for the platform.
func (f *finder) find(ctx context.Context, d v1.Descriptor, depth int) (v1.Descriptor, error) {
	s := f.source
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
	entries := index.Manifests
	if f.tag != "" && depth == maxIndexDepth {
		if entries, err = tagged(entries, f.tag); err != nil {
			return d, fmt.Errorf("cannot take %s: %w", s, err)
		}
	}
	chosen, err := choose(entries, f.platform)
	if err != nil {
		return d, fmt.Errorf("cannot take %s: %w", s, err)
	}
	if name := nameIn(chosen); f.name == "" {
		f.name = name
	}
	return f.find(ctx, chosen, depth-1)
}

// The annotations that have the name of an image: the image-spec's, which may be the tag
// only, and containerd's and docker's, which is whole.
const (
	refNameAnnotation  = "org.opencontainers.image.ref.name"
	fullNameAnnotation = "io.containerd.image.name"
)

// nameIn returns the name of the image that a descriptor leads to, "" if it has none.
func nameIn(d v1.Descriptor) string {
	if name := d.Annotations[fullNameAnnotation]; name != "" {
		return name
	}
	return d.Annotations[refNameAnnotation]
}

// tagged returns the entries with a tag.
func tagged(entries []v1.Descriptor, tag string) ([]v1.Descriptor, error) {
	var with []v1.Descriptor
	for _, d := range entries {
		if d.Annotations[refNameAnnotation] == tag || d.Annotations[fullNameAnnotation] == tag {
			with = append(with, d)
		}
	}
	if len(with) > 0 {
		return with, nil
	}
	err := banger.Errorf(banger.CodeNotFound, "it has no image with the tag %q", tag)
	err.Candidates = names(entries)
	return nil, err
}

// maxCandidates bounds what an error lists.
const maxCandidates = 10

// names lists those that entries have.
func names(entries []v1.Descriptor) (names []string) {
	for _, d := range entries {
		name := d.Annotations[refNameAnnotation]
		if name != "" && len(names) < maxCandidates && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
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
		err := banger.Errorf(banger.CodeAmbiguous, "it has %d images, and does not say which is for %s", len(silent), want)
		err.Candidates = names(silent)
		return v1.Descriptor{}, err.WithHint("choose one by its tag: banger image import PATH:TAG")
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
