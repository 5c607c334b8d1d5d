package guest_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guest"
	"banger/internal/vmm"
)

// awayHost is a guest.Host that nobody gets into.
type awayHost struct {
	*machine
	mu          sync.Mutex // guards the fields below
	why         error
	fingerprint string
	logins      int
}

func (h *awayHost) Login(context.Context) (*ssh.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logins++
	return nil, h.why
}

func (h *awayHost) Install(context.Context, *ssh.Client) (vmm.AgentCommands, error) {
	return vmm.AgentCommands{}, nil
}

func (h *awayHost) Fingerprint() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fingerprint
}

// took returns how many logins there were since it was called last.
func (h *awayHost) took() int {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.logins
	h.logins = 0
	return n
}

// withHost runs a test with the link to a host on which the login fails.
func withHost(t *testing.T, code banger.Code, test func(t *testing.T, h *awayHost, links *guest.Links)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &awayHost{machine: &machine{done: make(chan struct{})}, why: banger.Errorf(code, "no")}
		links := guest.NewLinks(key(t, 2), slog.New(slog.DiscardHandler))
		serve, err := links.Open(vmm.GuestAccess{VMID: vm, Machine: h}, newHandler())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() { _ = serve(ctx) })
		test(t, h, links)
		cancel()
		serving.Wait()
	})
}

// need is a command that needs the guest for a moment.
func need(t *testing.T, links *guest.Links) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := links.Guest(ctx, vm); err == nil {
		t.Error("there is a guest")
	}
}

func TestLink_ARefusedLoginWaitsForAReason(t *testing.T) {
	for _, code := range []banger.Code{banger.CodeMissing, banger.CodeQuestion, banger.CodeInvalid} {
		withHost(t, code, func(t *testing.T, h *awayHost, links *guest.Links) {
			if n := h.took(); n != 1 || links.Refused(vm) == nil {
				t.Errorf("%s: %d logins at first, refused: %v", code, n, links.Refused(vm))
			}
			time.Sleep(59 * time.Minute)
			for range 10 {
				need(t, links)
			}
			links.NetworkChanged()
			if n := h.took(); n != 0 {
				t.Errorf("%s: %d logins without a reason", code, n)
			}
			time.Sleep(2 * time.Minute)
			if n := h.took(); n != 1 {
				t.Errorf("%s: %d logins after an hour", code, n)
			}
			links.Retry(vm)
			if n := h.took(); n != 1 {
				t.Errorf("%s: %d logins after vm unlock", code, n)
			}
			h.mu.Lock()
			h.fingerprint = "another key"
			h.mu.Unlock()
			if n := h.took(); n != 0 {
				t.Errorf("%s: %d logins that nobody needs", code, n)
			}
			for range 10 {
				need(t, links)
			}
			if n := h.took(); n != 1 {
				t.Errorf("%s: %d logins after a key has changed", code, n)
			}
		})
	}
}

func TestLink_AHostThatIsAwayIsTriedLessAndLessAndAtOnceWhenItMayBeBack(t *testing.T) {
	withHost(t, banger.CodeUnavailable, func(t *testing.T, h *awayHost, links *guest.Links) {
		time.Sleep(time.Hour)
		if h.took() == 0 || links.Refused(vm) != nil {
			t.Errorf("it is not tried again: %v", links.Refused(vm))
		}
		time.Sleep(time.Hour)
		if n := h.took(); n < 40 || n > 150 {
			t.Errorf("%d logins in an hour", n)
		}
		for name, hurry := range map[string]func(){"a command": func() { need(t, links) }, "a change of the network": links.NetworkChanged} {
			for range 100 {
				hurry()
			}
			time.Sleep(2 * time.Second)
			if n := h.took(); n < 1 || n > 7 {
				t.Errorf("%s: %d logins", name, n)
			}
		}
	})
}
