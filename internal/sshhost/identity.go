package sshhost

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// maxKeyFile bounds the file of a key or a certificate.
const maxKeyFile = 1 << 20

// identity is the key of an IdentityFile, as far as it can be known.
type identity struct {
	path   string
	public ssh.PublicKey       // nil if it is not known
	signer ssh.AlgorithmSigner // nil if the private key cannot be used
	locked bool                // it needs a passphrase
	wrong  bool                // the passphrase that was given is wrong
	err    error               // why it cannot be used, if it is not for the passphrase
}

// readIdentity reads what a file and the public one beside it say about a key.
func readIdentity(path string, passphrases map[string]string) *identity {
	id := &identity{path: path}
	data, err := readPrivate(path)
	if err == nil {
		passphrase, given := passphrases[path]
		err = id.parse(data, passphrase, given)
	}
	id.err = err
	if id.public == nil {
		for _, file := range []string{path + ".pub", path} {
			if key, err := readPublic(file); err == nil {
				id.public = key
				break
			}
		}
	}
	return id
}

// parse sets what the private key's file says.
func (id *identity) parse(data []byte, passphrase string, given bool) error {
	signer, err := ssh.ParsePrivateKey(data)
	if missing, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		id.locked, id.public = true, missing.PublicKey
		if !given {
			return nil
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, []byte(passphrase))
		if errors.Is(err, x509.IncorrectPasswordError) {
			id.wrong = true
			return nil
		}
		id.locked = err != nil
	}
	if err != nil {
		return fmt.Errorf("it is not a private key: %w", err)
	}
	can, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return errors.New("it cannot sign")
	}
	id.signer, id.public = can, signer.PublicKey()
	return nil
}

// absent reports whether there is nothing at all of the key.
func (id *identity) absent() bool { return errors.Is(id.err, fs.ErrNotExist) && id.public == nil }

// question asks for the passphrase.
func (id *identity) question() *QuestionError {
	q := Question{Subject: id.path, Again: id.wrong}
	if id.public != nil {
		q.KeyType, q.Fingerprint = id.public.Type(), ssh.FingerprintSHA256(id.public)
	}
	return askPassphrase(q)
}

// readPrivate reads a private key, but as ssh not one that others may read.
func readPrivate(path string) ([]byte, error) {
	return readKeyFile(path, func(info fs.FileInfo) error {
		stat, ok := info.Sys().(*syscall.Stat_t)
		if ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("others may read it (mode %04o); chmod 600 %s", info.Mode().Perm(), quote(path))
		}
		return nil
	})
}

// readPublic reads a public key or a certificate.
func readPublic(path string) (ssh.PublicKey, error) {
	data, err := readKeyFile(path, func(fs.FileInfo) error { return nil })
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(bytes.TrimSpace(data))
	return key, err
}

// readCertificate reads a certificate of a user.
func readCertificate(path string) (*ssh.Certificate, error) {
	key, err := readPublic(path)
	if err != nil {
		return nil, err
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok || cert.CertType != ssh.UserCert {
		return nil, errors.New("it is not the certificate of a user")
	}
	return cert, nil
}

// readKeyFile reads a small regular file, whatever its name leads to.
func readKeyFile(path string, check func(fs.FileInfo) error) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("it is not a file of at most %d bytes", maxKeyFile)
	}
	if err := check(info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}
