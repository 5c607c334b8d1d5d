package httpapi

import (
	"context"
	"sync"

	"banger"
	"banger/api"
)

// Operations that report what they are at, until they have a result. They end with their
// client.

func (s *server) addRemote(ctx context.Context, q api.Body[banger.RemoteRequest], send func(api.RemoteLine) error) error {
	return logIn(ctx, send, func(ctx context.Context) (banger.VM, error) { return s.Remotes.AddRemote(ctx, q.Body) })
}

func (s *server) unlockRemote(ctx context.Context, q api.VMBody[banger.RemoteAnswers], send func(api.RemoteLine) error) error {
	return logIn(ctx, send, func(ctx context.Context) (banger.VM, error) { return s.Remotes.UnlockRemote(ctx, q.VM, q.Body) })
}

// logIn sends the steps of a login as it takes them, then the VM.
func logIn(ctx context.Context, send func(api.RemoteLine) error, login func(context.Context) (banger.VM, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var sending sync.Mutex
	vm, err := login(banger.WithSteps(ctx, func(step string) {
		sending.Lock()
		defer sending.Unlock()
		if err := send(api.RemoteLine{Step: step}); err != nil {
			cancel()
		}
	}))
	if err != nil {
		return err
	}
	return send(api.RemoteLine{VM: &vm})
}

func (s *server) buildImage(ctx context.Context, q api.Body[api.ImageBuild], send func(api.BuildLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	image, err := s.Images.BuildImage(ctx, q.Body.Name, q.Body.Recipe, func(p banger.BuildProgress) {
		if err := send(api.BuildLine{Progress: &p}); err != nil {
			cancel()
		}
	})
	if err != nil {
		return err
	}
	return send(api.BuildLine{Image: &image})
}

func (s *server) pullImage(ctx context.Context, q api.Body[banger.PullRequest], send func(api.PullLine) error) error {
	return reportPull(ctx, send, func(ctx context.Context, report func(banger.PullProgress)) (banger.Image, error) {
		return s.Images.PullImage(ctx, q.Body, report)
	})
}

func (s *server) importImage(ctx context.Context, q api.Body[banger.ImportRequest], send func(api.PullLine) error) error {
	return reportPull(ctx, send, func(ctx context.Context, report func(banger.PullProgress)) (banger.Image, error) {
		return s.Images.ImportImage(ctx, q.Body, report)
	})
}

// reportPull sends what a pull does as it does it, then the image.
func reportPull(ctx context.Context, send func(api.PullLine) error, pull func(context.Context, func(banger.PullProgress)) (banger.Image, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	image, err := pull(ctx, func(p banger.PullProgress) {
		if err := send(api.PullLine{Progress: &p}); err != nil {
			cancel()
		}
	})
	if err != nil {
		return err
	}
	return send(api.PullLine{Image: &image})
}
