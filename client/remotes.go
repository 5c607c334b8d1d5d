package client

import (
	"context"

	"banger"
	"banger/api"
)

// AddRemote implements banger.RemoteService. It reports its steps to [banger.WithSteps].
func (c *Client) AddRemote(ctx context.Context, r banger.RemoteRequest) (banger.VM, error) {
	return logIn(ctx, c, api.AddRemote, api.Body[banger.RemoteRequest]{Body: r})
}

// UnlockRemote implements banger.RemoteService. It reports its steps to [banger.WithSteps].
func (c *Client) UnlockRemote(ctx context.Context, ref string, a banger.RemoteAnswers) (banger.VM, error) {
	return logIn(ctx, c, api.UnlockRemote, api.VMBody[banger.RemoteAnswers]{VM: ref, Body: a})
}

// logIn reads the lines of a login to a remote host.
func logIn[Q any](ctx context.Context, c *Client, o api.Operation[Q, api.RemoteLine], q Q) (banger.VM, error) {
	var last api.RemoteLine
	err := stream(ctx, c, o, q, func(line api.RemoteLine) (done bool) {
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
