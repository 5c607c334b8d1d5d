// Package remote is the driver of machines that are not banger's: any host that
// an SSH client can log in to. It starts and ends none; it logs in as the user's own
// ssh would, and brings the agent there.
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/sshhost"
	"banger/internal/vmm"
)

// Name is the driver's.
const Name = "remote"

// Dialer logs in to hosts; sshhost.Dialer does.
type Dialer interface {
	Dial(ctx context.Context, t sshhost.Target, a sshhost.Answers) (*ssh.Client, error)
	// Fingerprint changes with what a login depends on.
	Fingerprint(t sshhost.Target, a sshhost.Answers) string
}

// Programs are the agent and the shim for one architecture, as files.
type Programs struct{ Agent, Shim string }

// Config is what a driver is made of.
type Config struct {
	Dialer Dialer
	// Programs returns those for an architecture of Linux, in Go's name for it; none is
	// fs.ErrNotExist.
	Programs func(goarch string) (Programs, error)
	Log      *slog.Logger
}

// Driver implements vmm.Enroller. Safe for concurrent use.
type Driver struct {
	Config
	versions versions

	mu sync.Mutex // guards told
	// told is what the user has said that later logins need, too. It is kept in memory
	// only: after a restart of the daemon it is asked for again.
	told sshhost.Answers
}

// New returns a driver.
func New(c Config) *Driver {
	return &Driver{Config: c, told: sshhost.Answers{Passphrases: map[string]string{}}}
}

// Name implements vmm.Driver.
func (d *Driver) Name() string { return Name }

// Kind implements vmm.Driver.
func (d *Driver) Kind() vmm.Kind {
	return vmm.Kind{Noun: "a remote host", Instead: map[banger.Capability]string{
		banger.CanPower:    "its sessions can be stopped; banger vm delete VM forgets the host and leaves it alone",
		banger.CanConsole:  "log in and read its journal: banger vm ssh VM",
		banger.CanReadDisk: "its sessions can be read when it answers; see banger vm show VM",
	}}
}

// reference is a Machine's Ref.
type reference struct {
	Target       string `json:"target"` // [user@]host[:port]
	IdentityFile string `json:"identity_file,omitempty"`
}

// Adopt implements vmm.Driver. It does not need the network.
func (d *Driver) Adopt(_ context.Context, ref json.RawMessage) (vmm.Machine, error) {
	var r reference
	if err := json.Unmarshal(ref, &r); err != nil {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot tell which host it is: %w", err)
	}
	target, err := sshhost.ParseTarget(r.Target)
	if err != nil {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot tell which host it is: %w", err)
	}
	target.IdentityFile = r.IdentityFile
	return &host{driver: d, target: target, ref: ref, forgotten: make(chan struct{})}, nil
}

// Probe logs in to a host and brings the agent there, and returns its machine. What
// only the user can answer is a banger.Error with a Question.
func (d *Driver) Probe(ctx context.Context, r banger.RemoteRequest) (vmm.Machine, error) {
	if _, err := sshhost.ParseTarget(r.SSH); err != nil {
		return nil, err
	}
	ref, err := json.Marshal(reference{Target: r.SSH, IdentityFile: r.IdentityFile})
	if err != nil {
		return nil, err
	}
	m, err := d.Adopt(ctx, ref)
	if err != nil {
		return nil, err
	}
	return m, d.Answer(ctx, m, r.Answers)
}

// Answer logs in to a host with what its user has answered, and keeps that if it was
// right.
func (d *Driver) Answer(ctx context.Context, m vmm.Machine, a banger.RemoteAnswers) error {
	h, ok := m.(*host)
	if !ok {
		return banger.Errorf(banger.CodeState, "cannot unlock what is no remote host")
	}
	answers := d.withTold(a)
	answers.HostKeys = a.HostKeys
	loggingIn, cancel := context.WithTimeoutCause(ctx, loginTimeout, fmt.Errorf("we were not let in within %s", loginTimeout))
	client, err := h.login(loggingIn, answers)
	cancel()
	if err != nil {
		return err
	}
	defer client.Close()
	d.keep(a)
	commands, err := h.Install(ctx, client)
	if err != nil {
		return err
	}
	return h.tryControl(ctx, client, commands)
}

// loginTimeout bounds a login for which a user waits; their agent may ask them for a touch.
const loginTimeout = 2 * time.Minute

// keep remembers answers that were right. An agent is the newest one: sockets of agents
// go away with the logins of their user.
func (d *Driver) keep(a banger.RemoteAnswers) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.Copy(d.told.Passphrases, a.Passphrases)
	if a.AgentSocket != "" {
		d.told.AgentSocket = a.AgentSocket
	}
}

// withTold returns answers with what has been told before.
func (d *Driver) withTold(a banger.RemoteAnswers) sshhost.Answers {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := sshhost.Answers{Passphrases: maps.Clone(d.told.Passphrases), AgentSocket: d.told.AgentSocket}
	maps.Copy(all.Passphrases, a.Passphrases)
	if a.AgentSocket != "" {
		all.AgentSocket = a.AgentSocket
	}
	return all
}

// SSHAccess implements vmm.Enroller.
func (d *Driver) SSHAccess(ref json.RawMessage) (banger.SSHAccess, error) {
	var r reference
	if err := json.Unmarshal(ref, &r); err != nil {
		return banger.SSHAccess{}, banger.Errorf(banger.CodeCorrupt, "cannot tell which host it is: %w", err)
	}
	return banger.SSHAccess{Destination: r.Target, IdentityFile: r.IdentityFile}, nil
}

// asQuestion turns what only the user can answer into an error of the domain.
func asQuestion(err error) error {
	asked, ok := errors.AsType[*sshhost.QuestionError](err)
	if !ok {
		return err
	}
	e := banger.Errorf(banger.CodeQuestion, "%w", err)
	e.Question = &banger.Question{
		Kind: banger.QuestionKind(asked.Kind), Subject: asked.Subject, Fingerprint: asked.Fingerprint, KeyType: asked.KeyType, Again: asked.Again,
	}
	if inner, ok := errors.AsType[*banger.Error](err); ok {
		e.Hint = inner.Hint
	}
	return e
}

var errForgotten = fmt.Errorf("the host was forgotten: %w", vmm.ErrMachineGone)
