package httpapi

import (
	"context"

	"banger"
	"banger/api"
)

func (s *server) buildImage(r *request, out *stream) error {
	var body api.ImageBuild
	if err := r.decode(&body); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	image, err := s.Images.BuildImage(ctx, body.Name, body.Recipe, func(p banger.BuildProgress) {
		if err := out.send(api.BuildLine{Progress: &p}); err != nil {
			cancel()
		}
	})
	if err != nil {
		return err
	}
	return out.send(api.BuildLine{Image: &image})
}

func (s *server) listImages(r *request) (any, error) {
	images, err := s.Images.ListImages(r.Context())
	return api.ImageList{Images: list(images)}, err
}

func (s *server) getImage(r *request) (any, error) { return s.Images.GetImage(r.Context(), r.image()) }

func (s *server) deleteImage(r *request) (any, error) {
	return nil, s.Images.DeleteImage(r.Context(), r.image())
}
