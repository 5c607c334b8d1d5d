package client

import (
	"context"

	"banger"
	"banger/api"
)

// ListTrash implements banger.TrashService.
func (c *Client) ListTrash(ctx context.Context) ([]banger.Trashed, error) {
	list, err := call[api.TrashList](ctx, c, get("/v1/trash"))
	return list.Trash, err
}

// EmptyTrash implements banger.TrashService.
func (c *Client) EmptyTrash(ctx context.Context) ([]banger.Trashed, error) {
	list, err := call[api.TrashList](ctx, c, remove("/v1/trash"))
	return list.Trash, err
}
