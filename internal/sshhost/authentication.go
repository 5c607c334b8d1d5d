package sshhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"banger"
)

var errNoKeyLeft = errors.New("no key is left to try")

// tooManyFailures is what OpenSSH says when it hangs up after MaxAuthTries keys.
const tooManyFailures = "Too many authentication failures"

// authentication offers keys to one host until it takes one.
type authentication struct {
	ctx     context.Context // of the Dial: an agent may be asked as long as that
	host    *Resolved
	answers Answers
	broken  func() error // reports why the connection is, if it is

	started bool
	methods []string // that the host allows
	keys    keyRing
}

// end lets the agent go.
func (a *authentication) end() { a.keys.end() }

// next is an ssh.ClientAuthCallback. It gives one key at a time, so that one which
// cannot sign does not keep the others from being tried.
func (a *authentication) next(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if err := a.broken(); err != nil {
		return nil, err
	}
	if a.methods = c.AllowedMethods; !a.takesKeys() {
		return nil, errNoKeyLeft
	}
	if !a.started {
		a.started = true
		a.keys.gather(a.ctx, a.host, a.answers)
	}
	for _, k := range a.keys.candidates {
		if k.offered || k.instead != nil && k.instead.problem == nil {
			continue
		}
		k.offered = true
		return ssh.PublicKeys(k.signer), nil
	}
	return nil, errNoKeyLeft
}

// failure turns the end of an attempt that never got in into what the user can do.
func (a *authentication) failure(err error) error {
	if q := a.question(); q != nil {
		return q
	}
	what := "no key was accepted"
	if !a.takesKeys() {
		what = "it wants a method other than a key: " + printable(strings.Join(a.methods, ", "))
	} else if strings.Contains(err.Error(), tooManyFailures) {
		what = "it has refused too many keys"
	}
	if tried := a.tried(); len(tried) > 0 {
		what += ": tried " + strings.Join(tried, "; ")
	} else if a.takesKeys() {
		what = fmt.Sprintf("there is no key to try: the agent has none, and none of %s is there", strings.Join(a.host.IdentityFiles, ", "))
	}
	return banger.Errorf(banger.CodeMissing, "cannot log in to SSH host %s as %s: %s", a.host.Target, a.host.User, what).
		WithHint("%s", a.hint(err))
}

// takesKeys reports whether the host would take a key now.
func (a *authentication) takesKeys() bool { return slices.Contains(a.methods, "publickey") }

func (a *authentication) hint(err error) string {
	switch {
	case strings.Contains(err.Error(), tooManyFailures):
		return "name the right key with IdentityFile and IdentitiesOnly yes in ~/.ssh/config"
	case !a.takesKeys():
		return "let the host be content with a public key (see its sshd_config); passwords are not supported"
	case a.keys.agentGone:
		return "let SSH_AUTH_SOCK name the socket of an agent that runs, and repeat it; for a VM that was added: banger vm unlock"
	}
	return "add your public key to the host's authorized_keys: " + a.host.Target.Command("ssh-copy-id")
}

// question returns what to ask the user: first for a key that the host would take,
// then for one of which nobody can say so.
func (a *authentication) question() *QuestionError {
	for _, k := range a.keys.candidates {
		if errors.Is(k.problem, errLocked) {
			return k.id.question()
		}
	}
	for _, id := range a.keys.identities {
		if id.locked && id.signer == nil && id.public == nil {
			return id.question()
		}
	}
	return nil
}

// tried lists the keys with what has become of them.
func (a *authentication) tried() []string {
	var list []string
	for _, k := range a.keys.candidates {
		switch {
		case k.problem != nil:
			list = append(list, fmt.Sprintf("%s (cannot sign: %v)", k.label, k.problem))
		case k.offered:
			list = append(list, k.label)
		}
	}
	return append(list, a.keys.notes...)
}
