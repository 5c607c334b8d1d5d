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
