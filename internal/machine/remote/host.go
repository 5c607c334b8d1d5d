package remote

import (
	"context"
	"encoding/json"
	"sync"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/sshhost"
	"banger/internal/vmm"
)

// host is a remote host as a vmm.Standing machine, which runs as long as it is not
// forgotten. Safe for concurrent use.
type host struct {
	driver *Driver
	target sshhost.Target
	ref    json.RawMessage

	once      sync.Once
	forgotten chan struct{}
}

// Ref implements vmm.Machine.
func (h *host) Ref() json.RawMessage { return h.ref }

// Info implements vmm.Machine.
func (h *host) Info() vmm.MachineInfo { return vmm.MachineInfo{} }

// WaitReady implements vmm.Machine: whether it answers is for Login to say.
func (h *host) WaitReady(context.Context) error {
	select {
	case <-h.forgotten:
		return errForgotten
	default:
		return nil
	}
}

// Login logs in as the user's own ssh would; see guest.Host.
func (h *host) Login(ctx context.Context) (*ssh.Client, error) {
	return h.login(ctx, h.driver.withTold(banger.RemoteAnswers{}))
}

// Fingerprint changes with what a login depends on; see guest.Host.
func (h *host) Fingerprint() string {
	return h.driver.Dialer.Fingerprint(h.target, h.driver.withTold(banger.RemoteAnswers{}))
}

func (h *host) login(ctx context.Context, a sshhost.Answers) (*ssh.Client, error) {
	client, err := h.driver.Dialer.Dial(ctx, h.target, a)
	return client, asQuestion(err)
}

// Forget implements vmm.Standing.
func (h *host) Forget() { h.once.Do(func() { close(h.forgotten) }) }

// Done implements vmm.Machine.
func (h *host) Done() <-chan struct{} { return h.forgotten }

// Close implements vmm.Machine.
func (h *host) Close() error { return nil }
