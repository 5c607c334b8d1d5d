package sshhost

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"banger"
)

// hostKeys judges the key of one host.
type hostKeys struct {
	host    *Resolved
	answers Answers
	known   []knownKey // of the host at its port, or of its alias
	anyPort []knownKey // of the host at port 22, if that is not its port
	refusal error      // why the key was refused; set by check
}

func newHostKeys(r *Resolved, a Answers) *hostKeys {
	files := append(slices.Clone(r.UserKnownHosts), r.GlobalKnownHosts...)
	h := &hostKeys{host: r, answers: a, known: knownKeys(files, r.knownName())}
	if r.HostKeyAlias == "" && r.Port != defaultPort {
		h.anyPort = knownKeys(files, lower(r.HostName))
	}
	return h
}

// algorithms returns what the host may prove itself with: first what we could check.
// A certificate is only asked for where an authority is known for the host.
func (h *hostKeys) algorithms() []string {
	all := h.host.algorithms.HostKeys
	if len(all) == 0 {
		all = ssh.SupportedAlgorithms().HostKeys
	}
	authority, familiar := false, map[string]bool{}
	for _, k := range slices.Concat(h.known, h.anyPort) {
		authority = authority || k.marker == authorityMarker
		if k.marker == "" && k.key != nil {
			familiar[k.key.Type()] = true
		}
	}
	rank := func(algorithm string) int {
		switch {
		case isCertificate(algorithm) && !authority:
			return -1
		case isCertificate(algorithm):
			return 0
		case familiar[plainKind(algorithm)]:
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

// judge does what check_host_key of OpenSSH's sshconnect.c does, but that a key which is
// revoked at port 22 is so at the others.
func (h *hostKeys) judge(key ssh.PublicKey) error {
	if k, ok := h.revocation(key); ok {
		return h.revoked(k)
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		if h.vouchedFor(h.known, cert) || h.vouchedFor(h.anyPort, cert) {
			return nil
		}
		key = cert.Key // as ssh does: without an authority's word it is a key like others
	}
	isKey := func(k knownKey) bool { return k.marker == "" && k.is(key) }
	if slices.ContainsFunc(h.known, isKey) {
		return nil
	}
	if others := slices.DeleteFunc(slices.Clone(h.known), func(k knownKey) bool { return k.marker != "" }); len(others) > 0 {
		return h.changed(key, others)
	}
	if slices.ContainsFunc(h.anyPort, isKey) {
		return nil
	}
	return h.unknown(key)
}

// revocation returns the line that revokes a key, or the key or the authority of a certificate.
func (h *hostKeys) revocation(key ssh.PublicKey) (line knownKey, ok bool) {
	keys := []ssh.PublicKey{key}
	if cert, ok := key.(*ssh.Certificate); ok {
		keys = []ssh.PublicKey{cert.Key, cert.SignatureKey}
	}
	for _, k := range slices.Concat(h.known, h.anyPort) {
		if k.marker == revokedMarker && slices.ContainsFunc(keys, k.is) {
			return k, true
		}
	}
	return line, false
}

// vouchedFor reports whether one of the lines has the authority of a certificate, which is
// valid for the host.
func (h *hostKeys) vouchedFor(known []knownKey, cert *ssh.Certificate) bool {
	if !slices.ContainsFunc(known, func(k knownKey) bool { return k.marker == authorityMarker && k.is(cert.SignatureKey) }) {
		return false
	}
	principal := h.host.HostKeyAlias
	if principal == "" {
		principal = lower(h.host.HostName)
	}
	return cert.CertType == ssh.HostCert && new(ssh.CertChecker).CheckCert(principal, cert) == nil
}

// name is the host as known_hosts has it.
func (h *hostKeys) name() string { return h.host.knownName() }

func (h *hostKeys) revoked(k knownKey) error {
	return banger.Errorf(banger.CodeInvalid, "the key of SSH host %s is revoked: %s key %s, by %s:%d", h.name(),
		k.kind, fingerprintOf(k.blob), k.file, k.line).
		WithHint("another machine may be answering; ask the administrator of the host for its new key")
}

// fingerprintOf is that of a key as ssh(1) shows it.
func fingerprintOf(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

func (h *hostKeys) changed(key ssh.PublicKey, others []knownKey) error {
	var places []string
	for _, k := range others {
		places = append(places, fmt.Sprintf("%s:%d (%s)", k.file, k.line, k.kind))
	}
	return banger.Errorf(banger.CodeInvalid,
		"the host key of SSH host %s has changed: it is now the %s key %s, and not what is in %s; somebody could be listening in",
		h.name(), key.Type(), ssh.FingerprintSHA256(key), strings.Join(places, ", ")).
		WithHint("if the host's key was changed on purpose: ssh-keygen -f %s -R %s", shellWord(others[0].file), shellWord(h.name()))
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
		salt := make([]byte, sha1.Size)
		rand.Read(salt)
		name = hashName(name, salt)
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
