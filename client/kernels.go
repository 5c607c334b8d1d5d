package client

import (
	"context"

	"banger"
	"banger/api"
)

// PullKernel implements banger.KernelService. The pull ends with its client.
func (c *Client) PullKernel(ctx context.Context, r banger.KernelRequest, progress func(banger.BuildProgress)) (banger.Kernel, error) {
	q := api.Body[banger.KernelRequest]{Body: r}
	return made(ctx, c, api.PullKernel, q, progress, func(l api.KernelLine) (*banger.BuildProgress, *banger.Kernel, *banger.Error) {
		return l.Progress, l.Kernel, l.Error
	})
}
