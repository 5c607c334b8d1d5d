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
	line := func(p *banger.BuildProgress, i *banger.Image) api.BuildLine {
		return api.BuildLine{Progress: p, Image: i}
	}
	return makeReported(ctx, send, line, func(ctx context.Context, report func(banger.BuildProgress)) (banger.Image, error) {
		return s.Images.BuildImage(ctx, q.Body.Name, q.Body.Recipe, report)
	})
}

func (s *server) pullImage(ctx context.Context, q api.Body[banger.PullRequest], send func(api.PullLine) error) error {
	return makeReported(ctx, send, pullLine, func(ctx context.Context, report func(banger.PullProgress)) (banger.Image, error) {
		return s.Images.PullImage(ctx, q.Body, report)
	})
}

func (s *server) importImage(ctx context.Context, q api.Body[banger.ImportRequest], send func(api.PullLine) error) error {
	return makeReported(ctx, send, pullLine, func(ctx context.Context, report func(banger.PullProgress)) (banger.Image, error) {
		return s.Images.ImportImage(ctx, q.Body, report)
	})
}

func pullLine(p *banger.PullProgress, i *banger.Image) api.PullLine {
	return api.PullLine{Progress: p, Image: i}
}

func (s *server) pullKernel(ctx context.Context, q api.Body[banger.KernelRequest], send func(api.KernelLine) error) error {
	line := func(p *banger.BuildProgress, k *banger.Kernel) api.KernelLine {
		return api.KernelLine{Progress: p, Kernel: k}
	}
	return makeReported(ctx, send, line, func(ctx context.Context, report func(banger.BuildProgress)) (banger.Kernel, error) {
		return s.Kernels.PullKernel(ctx, q.Body, report)
	})
}

// makeReported sends what is reported while an R is made, each a P, then the R. line is one of
// either.
func makeReported[L, P, R any](ctx context.Context, send func(L) error, line func(*P, *R) L, call func(context.Context, func(P)) (R, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	made, err := call(ctx, func(p P) {
		if err := send(line(&p, nil)); err != nil {
			cancel()
		}
	})
	if err != nil {
		return err
	}
	return send(line(nil, &made))
}
