package sshhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/crypto/ssh"
)

// keyRing is what there is to log in with, in the order in which ssh tries it:
// certificates, keys of the agent that are configured, other keys of the agent, and
// keys that only files have.
type keyRing struct {
	host       *Resolved
	identities []*identity
	agent      []*agentKey
	agentGone  bool // nobody listens at its socket
	candidates []*candidate
	notes      []string // of keys that cannot be offered
	endAgent   func()
}

func (r *keyRing) end() {
	if r.endAgent != nil {
		r.endAgent()
	}
}

// gather reads the files and asks the agent.
func (r *keyRing) gather(ctx context.Context, host *Resolved, a Answers) {
	r.host = host
	var certificates []*ssh.Certificate
	for _, path := range host.CertificateFiles {
		cert, err := readCertificate(path)
		if err != nil {
			r.notes = append(r.notes, fmt.Sprintf("certificate %s (%v)", path, err))
			continue
		}
		certificates = append(certificates, cert)
	}
	for i, path := range host.IdentityFiles {
		if slices.Contains(host.IdentityFiles[:i], path) {
			continue
		}
		id := readIdentity(path, a.Passphrases)
		if id.absent() && path != host.Target.IdentityFile {
			continue // ssh has many defaults
		}
		r.identities = append(r.identities, id)
		if id.err != nil && (id.public == nil || !errors.Is(id.err, fs.ErrNotExist)) {
			r.notes = append(r.notes, fmt.Sprintf("key %s (%v)", path, id.err))
		}
		if cert, err := readCertificate(path + "-cert.pub"); err == nil {
			certificates = append(certificates, cert)
		}
	}
	r.askAgent(ctx)
	r.addCertificates(certificates)
	r.addAgentKeys(certificates)
	r.addFiles()
}

func (r *keyRing) askAgent(ctx context.Context) {
	if r.host.IdentityAgent == "" {
		return
	}
	var err error
	r.agent, r.endAgent, err = openAgent(ctx, r.host.IdentityAgent)
	if err != nil {
		r.agentGone = true
		r.notes = append(r.notes, fmt.Sprintf("the agent at %s (%v)", r.host.IdentityAgent, err))
	}
}

// addCertificates adds each certificate whose private key is at hand.
func (r *keyRing) addCertificates(certificates []*ssh.Certificate) {
	for _, cert := range certificates {
		var id *identity
		var private ssh.AlgorithmSigner
		if i := slices.IndexFunc(r.agent, func(k *agentKey) bool { return same(k.public, cert.Key) }); i >= 0 {
			private = r.agent[i]
		}
		i := slices.IndexFunc(r.identities, func(id *identity) bool { return same(id.public, cert.Key) && id.usable() })
		if i >= 0 && (private == nil || r.identities[i].signer != nil) {
			id, private = r.identities[i], r.identities[i].private()
		}
		if private != nil {
			r.add(cert, private, fmt.Sprintf("certificate %q", cert.KeyId), id)
		}
	}
}

// addAgentKeys adds the agent's keys, the configured ones first.
func (r *keyRing) addAgentKeys(certificates []*ssh.Certificate) {
	configured := func(k *agentKey) bool {
		plain := k.public
		if cert, ok := plain.(*ssh.Certificate); ok {
			plain = cert.Key
		}
		return slices.ContainsFunc(r.identities, func(id *identity) bool { return same(id.public, plain) || same(id.public, k.public) }) ||
			slices.ContainsFunc(certificates, func(c *ssh.Certificate) bool { return same(c, k.public) })
	}
	for _, wanted := range []bool{true, false} {
		for _, k := range r.agent {
			if configured(k) == wanted && (wanted || !r.host.IdentitiesOnly) {
				r.add(k.public, k, fmt.Sprintf("agent key %q %s", k.comment, ssh.FingerprintSHA256(k.public)), nil)
			}
		}
	}
}

// addFiles adds the keys of files.
func (r *keyRing) addFiles() {
	for _, id := range r.identities {
		if id.usable() && id.public != nil {
			r.add(id.public, id.private(), "key "+id.path, id)
		}
	}
}

// add appends a key. What is there already is only used if that one cannot sign.
func (r *keyRing) add(public ssh.PublicKey, private ssh.AlgorithmSigner, label string, id *identity) {
	k := &candidate{label: label, id: id}
	k.signer = &keySigner{
		public: public, private: private, failed: func(err error) { k.problem = err },
		allowed: signatureAlgorithms(public.Type(), r.host.algorithms.PublicKeyAuths),
	}
	if len(k.signer.allowed) == 0 {
		r.notes = append(r.notes, fmt.Sprintf("%s (its type %s is not in PubkeyAcceptedAlgorithms)", label, public.Type()))
		return
	}
	if i := slices.IndexFunc(r.candidates, func(c *candidate) bool { return same(c.signer.public, public) }); i >= 0 {
		k.instead = r.candidates[i]
	}
	r.candidates = append(r.candidates, k)
}

// usable reports whether the private key is there, if only behind a passphrase.
func (id *identity) usable() bool { return id.signer != nil || id.locked }

// private returns what signs, or reports that it is locked.
func (id *identity) private() ssh.AlgorithmSigner {
	if id.signer != nil {
		return id.signer
	}
	return lockedKey{id.public}
}

func same(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && bytes.Equal(a.Marshal(), b.Marshal())
}
