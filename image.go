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

// DefaultSuite is the default Debian release of an image.
const DefaultSuite = "bookworm"

// Image is a read-only root file system with its kernel, shared by VMs.
type Image struct {
	ID            ImageID     `json:"id" doc:"sha256 of its manifest, shortened"`
	Name          string      `json:"name" doc:"unique; empty if a newer build took the name"`
	Recipe        ImageRecipe `json:"recipe"`
	RecipeDigest  string      `json:"recipe_digest" doc:"sha256 of its recipe: equal recipes give the same image"`
	KernelRelease string      `json:"kernel_release" doc:"release of its kernel, as uname -r prints it"`
	SizeBytes     int64       `json:"size_bytes" doc:"of the root file system"`
	Packages      int         `json:"packages" doc:"number of Debian packages in it"`
	CreatedAt     time.Time   `json:"created_at" doc:"when it was built, by the host's clock"`
	Revision      int64       `json:"revision" doc:"the revision of the last event about it"`
}

// Ref returns the id and the name.
func (i Image) Ref() (id, name string) { return string(i.ID), i.Name }

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
	ListImages(ctx context.Context) ([]Image, error)
	GetImage(ctx context.Context, ref string) (Image, error)
	// DeleteImage refuses with CodeInUse and the VMs' names while a VM needs it.
	DeleteImage(ctx context.Context, ref string) error
}
