// Package guest owns the SSH connections to guests: one link per VM, on which
// everything that the host asks of a guest travels. One loop per link dials,
// keeps alive, backs off and dials again; users wait for it.
package guest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/vmm"
)

// Links are the links to all running guests. Safe for concurrent use.
type Links struct {
	signer ssh.Signer
	log    *slog.Logger
	turns  turns

	mu    sync.Mutex // guards links
	links map[banger.VMID]*link
}

// NewLinks returns an empty set; signer is the key by which guests know the host.
func NewLinks(signer ssh.Signer, log *slog.Logger) *Links {
	return &Links{signer: signer, log: log, turns: newTurns(), links: map[banger.VMID]*link{}}
}

// Open makes the link to one guest: from now on who asks for the guest waits for
// it. serve, which must be called once, keeps the link up until ctx ends or the
// guest's machine does, and closes it. A VM has at most one link at a time.
func (l *Links) Open(access vmm.GuestAccess, handler guestapi.GuestHandler) (serve func(ctx context.Context) error, err error) {
	var hostKey ssh.PublicKey
	dialer, ours := access.Machine.(vmm.Dialer)
	if _, ok := access.Machine.(Host); !ok {
		if !ours {
			return nil, banger.Errorf(banger.CodeInternal, "cannot open link to VM %s: its machine has no way in", access.VMID)
		}
		if hostKey, _, _, _, err = ssh.ParseAuthorizedKey([]byte(access.HostKey)); err != nil {
			return nil, fmt.Errorf("cannot parse host key of VM %s: %w", access.VMID, err)
		}
	}
	log, budget := l.log.With("vm", access.VMID), guestbudget.New()
	k := &link{
		access: access, handler: handler, dialer: dialer, hostKey: hostKey, signer: l.signer,
		log: log, said: stderrLog{log: log, budget: budget.HostLog}, budget: budget, turns: l.turns,
		checks: make(chan struct{}, 1), reason: make(chan struct{}, 1), hurry: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if err := l.add(k); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer l.remove(k)
		return k.run(ctx)
	}, nil
}

func (l *Links) add(k *link) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.links[k.access.VMID] != nil {
		return banger.Errorf(banger.CodeInternal, "cannot open link to VM %s: it has one", k.access.VMID)
	}
	l.links[k.access.VMID] = k
	return nil
}

func (l *Links) remove(k *link) {
	l.mu.Lock()
	delete(l.links, k.access.VMID)
	l.mu.Unlock()
	k.close(errNotRunning(k.access.VMID))
}

// Guest returns a running guest, waiting until its link is up. A VM that is not
// running, or ends meanwhile, is CodeState; if ctx ends first the error is
// CodeUnavailable with the reason why the link is down.
func (l *Links) Guest(ctx context.Context, id banger.VMID) (guestapi.Guest, error) {
	l.mu.Lock()
	k := l.links[id]
	l.mu.Unlock()
	if k == nil {
		return nil, errNotRunning(id)
	}
	return k.wait(ctx)
}

// Check asks every guest for a sign of life now, and sees to its clock: the host may
// have been suspended.
func (l *Links) Check() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.links {
		select {
		case k.checks <- struct{}{}:
		default: // it is about to be asked
		}
	}
}

func errNotRunning(id banger.VMID) error {
	return banger.Errorf(banger.CodeState, "cannot reach the guest: VM %s is not running", id).
		WithHint("start it with: banger vm start %s", id)
}
