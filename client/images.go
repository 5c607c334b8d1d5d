package client

import (
	"context"

	"banger"
	"banger/api"
)

// BuildImage implements banger.ImageService. The build ends with its client.
func (c *Client) BuildImage(ctx context.Context, name string, r banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	q := api.Body[api.ImageBuild]{Body: api.ImageBuild{Name: name, Recipe: r}}
	var last api.BuildLine
	err := stream(ctx, c, api.BuildImage, q, func(line api.BuildLine) (done bool) {
		if line.Progress != nil && progress != nil {
			progress(*line.Progress)
		}
		last = line
		return line.Image != nil || line.Error != nil
	})
	switch {
	case err != nil:
		return banger.Image{}, err
	case last.Error != nil:
		return banger.Image{}, last.Error
	}
	return *last.Image, nil
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
	var last api.PullLine
	err := stream(ctx, c, o, q, func(line api.PullLine) (done bool) {
		if line.Progress != nil && progress != nil {
			progress(*line.Progress)
		}
		last = line
		return line.Image != nil || line.Error != nil
	})
	switch {
	case err != nil:
		return banger.Image{}, err
	case last.Error != nil:
		return banger.Image{}, last.Error
	}
	return *last.Image, nil
}
