package api

import (
	"context"
	"net/http"

	"banger"
)

// KernelRef is a request about a kernel.
type KernelRef struct {
	Kernel string `path:"kernel"`
}

// The operations on kernels.
var (
	PullKernel = stream[Body[banger.KernelRequest], KernelLine](Route{
		ID: "pullKernel", Method: http.MethodPost, Path: "/v1/kernels", Summary: "Get a kernel from Debian, unless it is here.",
		Errors: codes(banger.CodeMissing, banger.CodeNotFound, banger.CodeCorrupt),
	})

	ListKernels = operation(Route{
		ID: "listKernels", Method: http.MethodGet, Path: "/v1/kernels", Summary: "List the kernels, those that came first before, with the VMs that boot them.",
	}, func(ctx context.Context, s banger.Services, _ Empty) (KernelList, error) {
		kernels, err := s.Kernels.ListKernels(ctx)
		return KernelList{list(kernels)}, err
	})

	GetKernel = operation(Route{
		ID: "getKernel", Method: http.MethodGet, Path: "/v1/kernels/{kernel}", Summary: "Show a kernel.",
		Description: "{kernel} is an id or its beginning, a release, a package, or a version, whole or in part, which means the newest of that: 6.12.",
	}, func(ctx context.Context, s banger.Services, q KernelRef) (banger.Kernel, error) {
		return s.Kernels.GetKernel(ctx, q.Kernel)
	})

	DeleteKernel = operation(Route{
		ID: "deleteKernel", Method: http.MethodDelete, Path: "/v1/kernels/{kernel}", Summary: "Delete a kernel that no VM boots.",
		Errors: codes(banger.CodeInUse),
	}, func(ctx context.Context, s banger.Services, q KernelRef) (None, error) {
		return None{}, s.Kernels.DeleteKernel(ctx, q.Kernel)
	})

	PruneKernels = operation(Route{
		ID: "pruneKernels", Method: http.MethodPost, Path: "/v1/prune-kernels", Summary: "Delete the kernels that no VM boots, but for the one that the next VM would be given.",
	}, func(ctx context.Context, s banger.Services, q Body[banger.KernelPruneRequest]) (banger.KernelPruneResult, error) {
		return s.Kernels.PruneKernels(ctx, q.Body)
	})
)

func kernelRoutes() []Route {
	return []Route{PullKernel.Route, ListKernels.Route, GetKernel.Route, DeleteKernel.Route, PruneKernels.Route}
}
