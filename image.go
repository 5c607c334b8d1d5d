package banger

import (
	"context"
	"time"
)

// ImageRecipe says how an image is made. Equal recipes make one image.
type ImageRecipe struct {
	Suite   string   `json:"suite,omitempty" doc:"Debian release; default bookworm"`
	Include []string `json:"include,omitempty" doc:"packages in addition to minbase and the kernel"`
	Mirror  string   `json:"mirror,omitempty" doc:"http or https URL of a Debian mirror, used alone; default: deb.debian.org and security.debian.org"`
}

// BuiltImageUser is the user beside root in every image that is built here: its id is 1000,
// it becomes root by sudo(8) without a password, and its home is on the work disk. Sessions
// run as root unless they ask for it.
const BuiltImageUser = "dev"

// DefaultSuite is the default Debian release of an image.
const DefaultSuite = "bookworm"

// Image is a read-only root file system, shared by VMs. One that was built here has a kernel.
type Image struct {
	ID            ImageID     `json:"id" doc:"sha256 of its manifest, shortened"`
	Name          string      `json:"name" doc:"unique; empty if other images took its names"`
	Tags          []string    `json:"tags,omitempty" doc:"its further names, each unique among the names of all images"`
	Recipe        ImageRecipe `json:"recipe,omitzero" doc:"of an image that was built here"`
	RecipeDigest  string      `json:"recipe_digest,omitempty" doc:"sha256 of its recipe: equal recipes give the same image"`
	OCI           *OCIImage   `json:"oci,omitempty" doc:"what others made it of; absent for an image that was built here"`
	KernelRelease string      `json:"kernel_release" doc:"release of its kernel, as uname -r prints it; empty if it has none"`
	SizeBytes     int64       `json:"size_bytes" doc:"of the root file system, with what it shares with other images"`
	Packages      int         `json:"packages" doc:"number of Debian packages in it; 0 if unknown"`
	CreatedAt     time.Time   `json:"created_at" doc:"when it was built, pulled or imported, by the host's clock"`
	Revision      int64       `json:"revision" doc:"the revision of the last event about it"`
}

// Ref returns the id and the name.
func (i Image) Ref() (id, name string) { return string(i.ID), i.Name }

// Names returns all names of the image, Name first; none if it has no name.
func (i Image) Names() []string {
	if i.Name == "" {
		return i.Tags
	}
	return append([]string{i.Name}, i.Tags...)
}

// BuildProgress is one report of a running image build.
type BuildProgress struct {
	Stage     string  `json:"stage" doc:"the current step, for people"`
	Percent   float64 `json:"percent" doc:"of the whole build, 0 to 100; -1 if unknown"`
	Detail    string  `json:"detail,omitempty" doc:"details, for people"`
	ElapsedMS int64   `json:"elapsed_ms" doc:"milliseconds since the build began"`
}

// ImageService makes and keeps images. Safe for concurrent use.
type ImageService interface {
	// BuildImage makes the image of a recipe and gives it the name, which it
	// takes from an older image. An image of the same recipe is used as it is.
	// Progress is called from one goroutine at a time; it may be nil.
	BuildImage(ctx context.Context, name string, r ImageRecipe, progress func(BuildProgress)) (Image, error)
	// PullImage gets an image from a registry and gives it the name, which it takes from
	// another image. Layers that are there are not fetched again, and what an interrupted pull
	// has fetched is continued. Progress is called from one goroutine at a time; it may be nil.
	PullImage(ctx context.Context, r PullRequest, progress func(PullProgress)) (Image, error)
	// ImportImage is PullImage from a file or directory of the daemon's host.
	ImportImage(ctx context.Context, r ImportRequest, progress func(PullProgress)) (Image, error)
	// TagImage gives an image one more name, which it takes from another image.
	TagImage(ctx context.Context, ref string, r TagRequest) (Image, error)
	ListImages(ctx context.Context) ([]Image, error)
	// GetImage finds an image by its id, by one of its names, or by the only one that begins
	// with ref. The names of images from registries are found in full only, since node:2 is
	// another image than node:22; they are the same in every form that means the same
	// (node, docker.io/library/node:latest).
	GetImage(ctx context.Context, ref string) (Image, error)
	// DeleteImage refuses with CodeInUse and the VMs' names while a VM needs it. If ref is one
	// of several names of the image, the image only loses that name.
	DeleteImage(ctx context.Context, ref string) error
	// PruneImages deletes the images that no VM needs, but for the default one, and what
	// interrupted pulls have left.
	PruneImages(ctx context.Context, r ImagePruneRequest) (ImagePruneResult, error)
}
