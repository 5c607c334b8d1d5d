package client

import (
	"context"

	"banger"
	"banger/api"
)

// BuildImage implements banger.ImageService. The build ends with its client.
func (c *Client) BuildImage(ctx context.Context, name string, r banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	q := post("/v1/images")
	q.json = api.ImageBuild{Name: name, Recipe: r}
	var last api.BuildLine
	err := stream(ctx, c, q, func(line api.BuildLine) (done bool) {
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

// ListImages implements banger.ImageService.
func (c *Client) ListImages(ctx context.Context) ([]banger.Image, error) {
	list, err := call[api.ImageList](ctx, c, get("/v1/images"))
	return list.Images, err
}

// GetImage implements banger.ImageService.
func (c *Client) GetImage(ctx context.Context, ref string) (banger.Image, error) {
	return call[banger.Image](ctx, c, get("/v1/images/{image}", ref))
}

// DeleteImage implements banger.ImageService.
func (c *Client) DeleteImage(ctx context.Context, ref string) error {
	_, err := c.do(ctx, remove("/v1/images/{image}", ref), nil)
	return err
}
