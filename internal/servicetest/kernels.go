package servicetest

import (
	"context"
	"fmt"
	"slices"

	"banger"
)

// PullKernel implements banger.KernelService.
func (f *Fake) PullKernel(_ context.Context, r banger.KernelRequest, progress func(banger.BuildProgress)) (banger.Kernel, error) {
	defer f.call(fmt.Sprintf("%q %q %q", r.Name, r.Suite, r.Mirror), "PullKernel", r)()
	for _, p := range f.Progress {
		progress(p)
	}
	name := r.WithDefaults().Name
	if f.Err == nil && len(f.Kernels) == 0 {
		return banger.Kernel{Release: name}, nil
	}
	return f.kernel(name)
}

// ListKernels implements banger.KernelService.
func (f *Fake) ListKernels(context.Context) ([]banger.Kernel, error) {
	defer f.call("", "ListKernels")()
	return slices.Clone(f.Kernels), f.Err
}

// GetKernel implements banger.KernelService.
func (f *Fake) GetKernel(_ context.Context, ref string) (banger.Kernel, error) {
	defer f.call(fmt.Sprintf("%q", ref), "GetKernel", ref)()
	return f.kernel(ref)
}

// DeleteKernel implements banger.KernelService.
func (f *Fake) DeleteKernel(_ context.Context, ref string) error {
	defer f.call(fmt.Sprintf("%q", ref), "DeleteKernel", ref)()
	_, err := f.kernel(ref)
	return err
}

// PruneKernels implements banger.KernelService.
func (f *Fake) PruneKernels(_ context.Context, r banger.KernelPruneRequest) (banger.KernelPruneResult, error) {
	defer f.call(fmt.Sprint(r.All, r.DryRun), "PruneKernels", r)()
	return banger.KernelPruneResult{Kernels: slices.Clone(f.Kernels)}, f.Err
}

// kernel returns the kernel of a release, or the first one.
func (f *Fake) kernel(ref string) (banger.Kernel, error) {
	if f.Err != nil {
		return banger.Kernel{}, f.Err
	}
	for _, k := range f.Kernels {
		if k.Release == ref || !f.Strict {
			return k, nil
		}
	}
	if !f.Strict {
		return banger.Kernel{Release: ref}, nil
	}
	return banger.Kernel{}, banger.Errorf(banger.CodeNotFound, "cannot find kernel %q: no such kernel", ref)
}
