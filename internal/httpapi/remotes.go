package httpapi

import (
	"context"
	"sync"

	"banger"
	"banger/api"
)

func (s *server) addRemote(r *request, out *stream) error {
	var body banger.RemoteRequest
	if err := r.decode(&body); err != nil {
		return err
	}
	return logIn(r, out, func(ctx context.Context) (banger.VM, error) { return s.Remotes.AddRemote(ctx, body) })
}

func (s *server) unlockRemote(r *request, out *stream) error {
	var body banger.RemoteAnswers
	if err := r.decode(&body); err != nil {
		return err
	}
	return logIn(r, out, func(ctx context.Context) (banger.VM, error) { return s.Remotes.UnlockRemote(ctx, r.vm(), body) })
}

// logIn sends the steps of a login as it takes them, then the VM. It ends with its client.
func logIn(r *request, out *stream, login func(context.Context) (banger.VM, error)) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var sending sync.Mutex
	vm, err := login(banger.WithSteps(ctx, func(step string) {
		sending.Lock()
		defer sending.Unlock()
		if err := out.send(api.RemoteLine{Step: step}); err != nil {
			cancel()
		}
	}))
	if err != nil {
		return err
	}
	return out.send(api.RemoteLine{VM: &vm})
}
