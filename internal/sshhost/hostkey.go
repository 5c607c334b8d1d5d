package sshhost

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"banger"
)

// hostKeys judges the key of one host.
type hostKeys struct {
	host    *Resolved
	answers Answers
	known   *knownFiles
	refusal error // why the key was refused; set by check
}

func newHostKeys(r *Resolved, a Answers) (*hostKeys, error) {
	known, err := readKnownFiles(append(slices.Clone(r.UserKnownHosts), r.GlobalKnownHosts...))
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot read the host keys that you know: %w", err).
			WithHint("correct or remove that line")
	}
	return &hostKeys{host: r, answers: a, known: known}, nil
}

// algorithms returns what the host may prove itself with: first what we could check.
// A certificate is only asked for where an authority is known for the host.
func (h *hostKeys) algorithms() []string {
	all := h.host.algorithms.HostKeys
	if len(all) == 0 {
		all = ssh.SupportedAlgorithms().HostKeys
	}
	name := h.host.lookupName()
	authority := slices.ContainsFunc(h.known.HostKeys(name), func(k knownhosts.PublicKey) bool { return k.Cert })
	familiar := h.known.HostKeyAlgorithms(name)
	rank := func(algorithm string) int {
		switch {
		case isCertificate(algorithm) && !authority:
			return -1
		case isCertificate(algorithm):
			return 0
		case slices.Contains(familiar, algorithm):
			return 1
		}
		return 2
	}
	all = slices.DeleteFunc(slices.Clone(all), func(a string) bool { return rank(a) < 0 })
	slices.SortStableFunc(all, func(a, b string) int { return rank(a) - rank(b) })
	return all
}

func isCertificate(algorithm string) bool { return strings.Contains(algorithm, "-cert-v0") }

// check accepts the host's key or sets refusal, and remembers a new key that is accepted.
func (h *hostKeys) check(key ssh.PublicKey) error {
	h.refusal = h.judge(key)
	return h.refusal
}

func (h *hostKeys) judge(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		if revoked, ok := errors.AsType[*xknownhosts.RevokedError](h.lookUp(cert.SignatureKey)); ok {
			return h.revoked(revoked)
		}
		if h.lookUp(cert) == nil {
			return nil
		}
		key = cert.Key // as ssh does: without an authority's word it is a key like others
	}
	found := h.lookUp(key)
	if revoked, ok := errors.AsType[*xknownhosts.RevokedError](found); ok {
		return h.revoked(revoked)
	}
	other := false
	for _, k := range h.known.HostKeys(h.host.lookupName()) {
		if k.Cert { // that it may vouch for the host does not make it the host's
			continue
		}
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return nil
		}
		other = true
	}
	if other {
		return h.changed(key, found)
	}
	return h.unknown(key)
}

// lookUp asks the files about a key. It does not ask for the host's address: what
// counts is the name.
func (h *hostKeys) lookUp(key ssh.PublicKey) error {
	return h.known.HostKeyCallback()(h.host.lookupName(), &net.TCPAddr{IP: net.IPv4zero}, key)
}

// name is the host as known_hosts has it.
func (h *hostKeys) name() string { return knownhosts.Normalize(h.host.lookupName()) }

func (h *hostKeys) revoked(err *xknownhosts.RevokedError) error {
	return banger.Errorf(banger.CodeInvalid, "the key of SSH host %s is revoked: %s key %s, by %s:%d", h.name(),
		err.Revoked.Key.Type(), ssh.FingerprintSHA256(err.Revoked.Key), h.known.original(err.Revoked.Filename), err.Revoked.Line).
		WithHint("it may be somebody else who answers; ask who runs the host for its new key")
}

func (h *hostKeys) changed(key ssh.PublicKey, found error) error {
	var places []string
	file := ""
	if e, ok := errors.AsType[*xknownhosts.KeyError](found); ok {
		for _, k := range e.Want {
			file = h.known.original(k.Filename)
			places = append(places, fmt.Sprintf("%s:%d (%s)", file, k.Line, k.Key.Type()))
		}
	}
	return banger.Errorf(banger.CodeInvalid,
		"the host key of SSH host %s has changed: it is now the %s key %s, and not what is in %s; somebody could be listening in",
		h.name(), key.Type(), ssh.FingerprintSHA256(key), strings.Join(places, ", ")).
		WithHint("if the host's key was changed on purpose: ssh-keygen -f %s -R %s", quote(file), quote(h.name()))
}

// unknown decides on the key of a host that has none yet.
func (h *hostKeys) unknown(key ssh.PublicKey) error {
	q := Question{Subject: h.name(), KeyType: key.Type(), Fingerprint: ssh.FingerprintSHA256(key)}
	accepted := slices.Contains(h.answers.HostKeys, q.Fingerprint)
	switch {
	case h.host.Checking == CheckStrict:
		return banger.Errorf(banger.CodeInvalid, "the host key of %s is not known: %s key %s; StrictHostKeyChecking forbids to add it",
			q.Subject, q.KeyType, q.Fingerprint).WithHint("add the key to known_hosts yourself")
	case !accepted && h.host.Checking == CheckAsk:
		return askHostKey(q)
	}
	if err := h.remember(key); err != nil {
		return banger.Errorf(banger.CodeMissing, "cannot remember the host key of %s: %w", q.Subject, err)
	}
	return nil
}

// remember adds the key to the user's first file, if there is one.
func (h *hostKeys) remember(key ssh.PublicKey) error {
	if len(h.host.UserKnownHosts) == 0 {
		return nil
	}
	path, name := h.host.UserKnownHosts[0], h.name()
	if h.host.HashKnownHosts {
		name = xknownhosts.HashHostname(name)
	}
	line := fmt.Sprintf("%s %s %s\n", name, key.Type(), base64.StdEncoding.EncodeToString(key.Marshal()))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if !endsLine(f) {
		line = "\n" + line
	}
	// One write, so that lines of others stay whole.
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Close()
}

// endsLine reports whether what is appended to a file begins a line.
func endsLine(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return true
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err != nil || last[0] == '\n'
}
