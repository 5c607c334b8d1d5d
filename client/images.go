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
