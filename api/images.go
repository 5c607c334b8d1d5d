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

	PullImage = stream[Body[banger.PullRequest], PullLine](Route{
		ID: "pullImage", Method: http.MethodPost, Path: "/v1/pull", Summary: "Get an image from a registry, with the layers that are not here.",
		Errors: codes(banger.CodeMissing, banger.CodeNotFound, banger.CodeCorrupt),
	})

	ImportImage = stream[Body[banger.ImportRequest], PullLine](Route{
		ID: "importImage", Method: http.MethodPost, Path: "/v1/import", Summary: "Get an image from a file or directory of the host.",
		Errors: codes(banger.CodeMissing, banger.CodeNotFound, banger.CodeAmbiguous, banger.CodeCorrupt),
	})

	TagImage = operation(Route{
		ID: "tagImage", Method: http.MethodPost, Path: "/v1/images/{image}/tag", Summary: "Give an image one more name.",
	}, func(ctx context.Context, s banger.Services, q ImageBody[banger.TagRequest]) (banger.Image, error) {
		return s.Images.TagImage(ctx, q.Image, q.Body)
	})

	PruneImages = operation(Route{
		ID: "pruneImages", Method: http.MethodPost, Path: "/v1/prune-images", Summary: "Delete the images that no VM uses, but for the default one, and what interrupted pulls have left.",
	}, func(ctx context.Context, s banger.Services, q Body[banger.ImagePruneRequest]) (banger.ImagePruneResult, error) {
		return s.Images.PruneImages(ctx, q.Body)
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
		Description: "If {image} is one of several names of the image, the image only loses that name.",
		Errors:      codes(banger.CodeInUse),
	}, func(ctx context.Context, s banger.Services, q ImageRef) (None, error) {
		return None{}, s.Images.DeleteImage(ctx, q.Image)
	})
)

func imageRoutes() []Route {
	return []Route{BuildImage.Route, PullImage.Route, ImportImage.Route, TagImage.Route, PruneImages.Route, ListImages.Route, GetImage.Route, DeleteImage.Route}
}
