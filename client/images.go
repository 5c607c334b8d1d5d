package client

import (
	"context"

	"banger"
	"banger/api"
)

// BuildImage implements banger.ImageService. The build ends with its client.
func (c *Client) BuildImage(ctx context.Context, name string, r banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	q := api.Body[api.ImageBuild]{Body: api.ImageBuild{Name: name, Recipe: r}}
	return made(ctx, c, api.BuildImage, q, progress, func(l api.BuildLine) (*banger.BuildProgress, *banger.Image, *banger.Error) {
		return l.Progress, l.Image, l.Error
	})
}

// PullImage implements banger.ImageService. The pull ends with its client; what has come is
// kept for the next one.
func (c *Client) PullImage(ctx context.Context, r banger.PullRequest, progress func(banger.PullProgress)) (banger.Image, error) {
	return pull(ctx, c, api.PullImage, api.Body[banger.PullRequest]{Body: r}, progress)
}

// ImportImage implements banger.ImageService. The import ends with its client.
func (c *Client) ImportImage(ctx context.Context, r banger.ImportRequest, progress func(banger.PullProgress)) (banger.Image, error) {
	return pull(ctx, c, api.ImportImage, api.Body[banger.ImportRequest]{Body: r}, progress)
}

func pull[Q any](ctx context.Context, c *Client, o api.Operation[Q, api.PullLine], q Q, progress func(banger.PullProgress)) (banger.Image, error) {
	return made(ctx, c, o, q, progress, func(l api.PullLine) (*banger.PullProgress, *banger.Image, *banger.Error) {
		return l.Progress, l.Image, l.Error
	})
}

// made passes on what is reported while an R is made, each a P, and returns that. parts are
// those of a line; progress may be nil.
func made[Q, L, P, R any](ctx context.Context, c *Client, o api.Operation[Q, L], q Q, progress func(P), parts func(L) (*P, *R, *banger.Error)) (result R, err error) {
	var whole *R
	var failed *banger.Error
	err = stream(ctx, c, o, q, func(line L) (done bool) {
		var p *P
		if p, whole, failed = parts(line); p != nil && progress != nil {
			progress(*p)
		}
		return whole != nil || failed != nil
	})
	switch {
	case err != nil:
		return result, err
	case failed != nil:
		return result, failed
	}
	return *whole, nil
}
