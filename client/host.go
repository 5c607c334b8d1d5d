package client

import (
	"context"

	"banger"
	"banger/api"
)

// Doctor implements banger.HostService.
func (c *Client) Doctor(ctx context.Context, deep bool) ([]banger.Check, error) {
	q := get("/v1/doctor")
	if deep {
		q.query.Set("deep", "true")
	}
	list, err := call[api.CheckList](ctx, c, q)
	return list.Checks, err
}

// Info implements banger.HostService. It works with a daemon of any version.
func (c *Client) Info(ctx context.Context) (banger.DaemonInfo, error) {
	return call[banger.DaemonInfo](ctx, c, get("/v1/info"))
}

// Shutdown implements banger.HostService. It works with a daemon of any version.
func (c *Client) Shutdown(ctx context.Context) error {
	_, err := c.do(ctx, post("/v1/shutdown"), nil)
	return err
}
