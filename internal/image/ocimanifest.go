package image

import (
	"fmt"
	"os"
	"time"

	"banger"
)

// ociFormat is the version of the layout of images that consist of layers: such a directory
// has a manifest only.
const ociFormat = 3

// ociContent is what an image from elsewhere is.
type ociContent struct {
	Digest       string             `json:"digest,omitempty"`
	ConfigDigest string             `json:"config_digest"`
	Platform     string             `json:"platform"`
	Config       banger.ImageConfig `json:"config"`
	Layers       []ociLayer         `json:"layers"` // the lowest first
}

// ociLayer is one of its layers.
type ociLayer struct {
	DiffID  string `json:"diff_id"`
	ChainID string `json:"chain_id"` // in hexadecimal digits, as its file is called
}

// layerFacts identify the file system of a layer.
type layerFacts struct {
	ChainID string `json:"chain_id"`
	fileFacts
}

// foreignManifest returns the manifest of an image that is to be taken, without the facts of
// its layers.
func foreignManifest(stacks Stacks, f *Foreign) (manifest, error) {
	if err := f.Config.Validate(); err != nil {
		return manifest{}, err
	}
	diffIDs := make([]string, len(f.Layers))
	for n, l := range f.Layers {
		diffIDs[n] = l.DiffID
	}
	chainIDs, err := stacks.ChainIDs(diffIDs)
	if err != nil {
		return manifest{}, err
	}
	c := &ociContent{Digest: f.Digest, ConfigDigest: f.ConfigDigest, Platform: f.Platform, Config: f.Config}
	for n, id := range diffIDs {
		c.Layers = append(c.Layers, ociLayer{DiffID: id, ChainID: chainIDs[n]})
	}
	return manifest{CreatedAt: time.Now().UTC(), Source: f.Source, Content: content{Format: ociFormat, OCI: c}}, nil
}

// oci is the part of an image's record that is about where it comes from; nil if it was
// built here.
func (m manifest) oci() *banger.OCIImage {
	c := m.Content.OCI
	if c == nil {
		return nil
	}
	i := &banger.OCIImage{Source: m.Source, Digest: c.Digest, ConfigDigest: c.ConfigDigest, Platform: c.Platform, Config: c.Config}
	sizes := map[string]int64{}
	for _, l := range m.Layers {
		sizes[l.ChainID] = l.Size
	}
	for _, l := range c.Layers {
		i.Layers = append(i.Layers, banger.ImageLayer{Digest: l.DiffID, ChainID: "sha256:" + l.ChainID, SizeBytes: sizes[l.ChainID]})
	}
	return i
}

// checkLayers checks that the layers are there and have their sizes.
func (m manifest) checkLayers(files layerFiles) error {
	if len(m.Layers) != len(m.Content.OCI.Layers) {
		return fmt.Errorf("its file %s was changed", manifestName)
	}
	for n, l := range m.Layers {
		name := "layers/" + l.ChainID + layerSuffix
		if l.ChainID != m.Content.OCI.Layers[n].ChainID {
			return fmt.Errorf("its file %s was changed", manifestName)
		}
		info, err := os.Stat(files.path(l.ChainID))
		if err != nil {
			return missingFile(name, err)
		}
		if info.Size() != l.Size {
			return fmt.Errorf("its file %s has %d bytes instead of %d", name, info.Size(), l.Size)
		}
	}
	return nil
}
