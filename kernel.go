package banger

import (
	"context"
	"time"
)

// DefaultKernelName is the kernel of VMs whose image has none, unless another one is asked for:
// the newest of this version that is here.
const DefaultKernelName = "6.12"

// Kernel is a Linux kernel with its modules, which VMs boot whose image has none of its own.
type Kernel struct {
	ID           KernelID  `json:"id" doc:"sha256 of what it was made of, shortened"`
	Release      string    `json:"release" doc:"as uname -r prints it"`
	Version      string    `json:"version" doc:"of the package, or of the image, that it is from"`
	Package      string    `json:"package,omitempty" doc:"Debian package that it is from; absent if it is from an image that was built here"`
	Suite        string    `json:"suite,omitempty" doc:"Debian suite in which the package was"`
	Architecture string    `json:"architecture" doc:"as Debian calls it"`
	Digest       string    `json:"digest" doc:"sha256 of the package, or of the kernel and the list of its modules"`
	SizeBytes    int64     `json:"size_bytes" doc:"of its files, unpacked too, on the host's disk"`
	VMs          []string  `json:"vms" doc:"names of the VMs that boot it; a VM of another installation is the path of its directory"`
	PulledAt     time.Time `json:"pulled_at" doc:"when it came here, by the host's clock"`
}

// Ref returns the id and the release.
func (k Kernel) Ref() (id, name string) { return string(k.ID), k.Release }

// KernelRequest asks for a kernel of Debian.
type KernelRequest struct {
	Name   string `json:"name,omitempty" doc:"a version, whole or in part (6.12), a kernel's release, or a package; default 6.12"`
	Suite  string `json:"suite,omitempty" doc:"Debian release whose suites are read, with their updates and security updates; default bookworm"`
	Mirror string `json:"mirror,omitempty" doc:"http or https URL of a Debian mirror; security updates that it does not have are read from security.debian.org"`
}

// WithDefaults returns the request with everything set that has a default.
func (r KernelRequest) WithDefaults() KernelRequest {
	if r.Name == "" {
		r.Name = DefaultKernelName
	}
	if r.Suite == "" {
		r.Suite = DefaultSuite
	}
	return r
}

// KernelPruneRequest asks for the kernels that no VM needs to be deleted.
type KernelPruneRequest struct {
	All    bool `json:"all,omitempty" doc:"also the one that the next VM would be given"`
	DryRun bool `json:"dry_run,omitempty" doc:"only report what would be deleted"`
}

// KernelPruneResult is what was, or would be, deleted.
type KernelPruneResult struct {
	Kernels        []Kernel `json:"kernels" doc:"the kernels, oldest first"`
	ReclaimedBytes int64    `json:"reclaimed_bytes" doc:"of the host's disk"`
}

// KernelService gets and keeps kernels. Safe for concurrent use.
type KernelService interface {
	// PullKernel gets the newest kernel of that name from Debian, unless it is here. Progress is
	// called from one goroutine at a time; it may be nil.
	PullKernel(ctx context.Context, r KernelRequest, progress func(BuildProgress)) (Kernel, error)
	// ListKernels returns the kernels, those that came first before.
	ListKernels(ctx context.Context) ([]Kernel, error)
	// GetKernel finds a kernel by its id, or its beginning, its release or its package, or the
	// newest of a version, whole or in part: 6.12 is the newest 6.12.x.
	GetKernel(ctx context.Context, ref string) (Kernel, error)
	// DeleteKernel refuses with CodeInUse and the VMs' names while a VM boots it.
	DeleteKernel(ctx context.Context, ref string) error
	// PruneKernels deletes the kernels that no VM boots.
	PruneKernels(ctx context.Context, r KernelPruneRequest) (KernelPruneResult, error)
}
