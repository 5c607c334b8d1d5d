package client

import (
	"context"

	"banger"
)

// AddRemote implements banger.RemoteService.
func (c *Client) AddRemote(ctx context.Context, r banger.RemoteRequest) (banger.VM, error) {
	q := post("/v1/remotes")
	q.json = r
	return call[banger.VM](ctx, c, q)
}

// UnlockRemote implements banger.RemoteService.
func (c *Client) UnlockRemote(ctx context.Context, ref string, a banger.RemoteAnswers) (banger.VM, error) {
	q := post("/v1/vms/{vm}/unlock", ref)
	q.json = a
	return call[banger.VM](ctx, c, q)
}
