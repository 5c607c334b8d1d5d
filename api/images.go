package api

import (
	"context"
	"net/http"

	"banger"
)

// The operations on images.
var (
	BuildImage = stream[Body[ImageBuild], BuildLine](Route{
		ID: "buildImage", Method: http.MethodPost, Path: "/v1/images", Summary: "Build an image, unless one with the same recipe exists.",
		Errors: codes(banger.CodeMissing),
	})

	ListImages = operation(Route{
		ID: "listImages", Method: http.MethodGet, Path: "/v1/images", Summary: "List the images, oldest first.",
	}, func(ctx context.Context, s banger.Services, _ Empty) (ImageList, error) {
		images, err := s.Images.ListImages(ctx)
		return ImageList{list(images)}, err
	})

	GetImage = operation(Route{
		ID: "getImage", Method: http.MethodGet, Path: "/v1/images/{image}", Summary: "Show an image.",
	}, func(ctx context.Context, s banger.Services, q ImageRef) (banger.Image, error) {
		return s.Images.GetImage(ctx, q.Image)
	})

	DeleteImage = operation(Route{
		ID: "deleteImage", Method: http.MethodDelete, Path: "/v1/images/{image}", Summary: "Delete an image that no VM uses.",
		Errors: codes(banger.CodeInUse),
	}, func(ctx context.Context, s banger.Services, q ImageRef) (None, error) {
		return None{}, s.Images.DeleteImage(ctx, q.Image)
	})
)

func imageRoutes() []Route {
	return []Route{BuildImage.Route, ListImages.Route, GetImage.Route, DeleteImage.Route}
}
