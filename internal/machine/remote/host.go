package remote

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/sshhost"
	"banger/internal/vmm"
)

// host is a remote host as a vmm.Machine, which runs as long as it is not
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

var errNotOurs = errors.New("a remote host is not banger's to reach, stop or kill")

// Dial implements vmm.Machine; it is Login that is used.
func (h *host) Dial(context.Context) (net.Conn, error) { return nil, errNotOurs }

// PowerDown implements vmm.Machine: it does not.
func (h *host) PowerDown(context.Context) error { return errNotOurs }

// Kill implements vmm.Machine: the host is forgotten, and nothing is done to it.
func (h *host) Kill(context.Context) error {
	h.once.Do(func() { close(h.forgotten) })
	return nil
}

// Done implements vmm.Machine.
func (h *host) Done() <-chan struct{} { return h.forgotten }

// PoweredOff implements vmm.Machine: whoever forgets a host loses nothing.
func (h *host) PoweredOff() bool { return true }

// Close implements vmm.Machine.
func (h *host) Close() error { return nil }
