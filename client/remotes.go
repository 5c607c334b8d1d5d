package client

import (
	"context"

	"banger"
	"banger/api"
)

// AddRemote implements banger.RemoteService. It reports its steps to [banger.WithSteps].
func (c *Client) AddRemote(ctx context.Context, r banger.RemoteRequest) (banger.VM, error) {
	q := post("/v1/remotes")
	q.json = r
	return c.logIn(ctx, q)
}

// UnlockRemote implements banger.RemoteService. It reports its steps to [banger.WithSteps].
func (c *Client) UnlockRemote(ctx context.Context, ref string, a banger.RemoteAnswers) (banger.VM, error) {
	q := post("/v1/vms/{vm}/unlock", ref)
	q.json = a
	return c.logIn(ctx, q)
}

// logIn reads the lines of a login to a remote host.
func (c *Client) logIn(ctx context.Context, q request) (banger.VM, error) {
	var last api.RemoteLine
	err := stream(ctx, c, q, func(line api.RemoteLine) (done bool) {
		if line.Step != "" {
			banger.Step(ctx, line.Step)
		}
		last = line
		return line.VM != nil || line.Error != nil
	})
	switch {
	case err != nil:
		return banger.VM{}, err
	case last.Error != nil:
		return banger.VM{}, last.Error
	}
	return *last.VM, nil
}
