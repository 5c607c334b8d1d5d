package sshhost

import (
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

var errLocked = errors.New("it needs its passphrase")

// candidate is a key to offer to a host.
type candidate struct {
	label   string
	signer  *keySigner
	id      *identity  // whose file it is; nil for a key of the agent alone
	instead *candidate // offered only if that one could not sign; nil: always
	offered bool
	problem error // why it could not sign
}

// keySigner signs with a key in the name of that key or of a certificate for it, by
// the algorithms that the configuration allows. It implements ssh.MultiAlgorithmSigner.
type keySigner struct {
	public  ssh.PublicKey
	private ssh.AlgorithmSigner
	allowed []string
	failed  func(error) // called when it could not sign
}

// PublicKey implements ssh.Signer.
func (s *keySigner) PublicKey() ssh.PublicKey { return s.public }

// Algorithms implements ssh.MultiAlgorithmSigner.
func (s *keySigner) Algorithms() []string { return s.allowed }

// Sign implements ssh.Signer.
func (s *keySigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, s.allowed[0])
}

// SignWithAlgorithm implements ssh.AlgorithmSigner.
func (s *keySigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signature, err := s.private.SignWithAlgorithm(rand, data, algorithm)
	if err != nil {
		s.failed(err)
	}
	return signature, err
}

// lockedKey is a private key whose passphrase is missing: enough to learn whether
// the host would take it.
type lockedKey struct{ public ssh.PublicKey }

func (k lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (lockedKey) Sign(io.Reader, []byte) (*ssh.Signature, error) { return nil, errLocked }

func (lockedKey) SignWithAlgorithm(io.Reader, []byte, string) (*ssh.Signature, error) {
	return nil, errLocked
}

// signatureAlgorithms returns by which of the accepted algorithms
// (PubkeyAcceptedAlgorithms; none: by all) a key of a type can sign, without the
// suffix of certificates, RFC 8332.
func signatureAlgorithms(keyType string, accepted []string) []string {
	plain := strings.TrimSuffix(keyType, "-cert-v01@openssh.com")
	suffix := keyType[len(plain):]
	if suffix != "" && strings.HasPrefix(plain, "sk-") {
		plain += "@openssh.com"
	}
	algorithms := []string{plain}
	if plain == ssh.KeyAlgoRSA {
		algorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	return slices.DeleteFunc(algorithms, func(a string) bool {
		name := a
		if suffix != "" {
			name = strings.TrimSuffix(a, "@openssh.com") + suffix
		}
		return len(accepted) > 0 && !slices.Contains(accepted, name)
	})
}
