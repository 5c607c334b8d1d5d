package image

import (
	"context"
	"io"

	"banger"
)

// Sources finds images that others have made; internal/image/oci does.
type Sources interface {
	// Registry returns an image that a registry has for a platform.
	Registry(ctx context.Context, r banger.PullRequest) (*Foreign, error)
	// Archive returns the image in a file or directory.
	Archive(ctx context.Context, r banger.ImportRequest) (*Foreign, error)
}

// Foreign is an image whose layers are where it comes from. All in it is a stranger's, but
// the digests are those of what was read. Whoever has got it calls Close at the end.
type Foreign struct {
	Source       string // for people
	Name         string // what it is called there; empty if unknown
	Digest       string // of its manifest, "sha256:…"; empty if it has none
	ConfigDigest string
	Platform     string
	Config       banger.ImageConfig
	Layers       []ForeignLayer // the lowest first
	Close        func() error
}

// ForeignLayer is a layer of one.
type ForeignLayer struct {
	DiffID string // "sha256:…" of its archive, uncompressed
	Bytes  int64  // of its archive as it comes, as its source says
	// Fetch brings the archive to this host. It continues what an earlier one has brought,
	// and calls advance with each number of bytes that have come, negative if some were in
	// vain. It is nil if the archive is here.
	Fetch func(ctx context.Context, advance func(bytes int64)) error
	// Open returns the archive, compressed or not. What it yields may be anything.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Forget removes what Fetch has brought; nil if Fetch is.
	Forget func(ctx context.Context) error
}

// Stacks makes file systems of layers, each over those below it; internal/image/layer does.
// It makes a file for each, called by its ChainID and .ext4, in the directory that the
// service has told it.
type Stacks interface {
	// ChainIDs returns what the layers of an image are called by, in hexadecimal digits.
	ChainIDs(diffIDs []string) ([]string, error)
	// Add makes those file systems of an image's layers, the lowest first, that are not
	// there, durably, if they have no more than maxBytes together, unpacked; 0 is the default
	// of PullRequest.MaxBytes. done is called after each, in order.
	Add(ctx context.Context, layers []StackLayer, maxBytes int64, done func(n int, bytes int64)) error
}

// StackLayer is a layer that is to become a file system.
type StackLayer struct {
	DiffID string
	Open   func(ctx context.Context) (io.ReadCloser, error)
}
