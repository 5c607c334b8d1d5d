package daemon

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/files"
)

// clientKey reads the key by which guests know this installation, and makes it
// the first time.
func clientKey(path string) (ssh.Signer, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = newClientKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read SSH key %s: %w", path, err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot parse SSH key %s: %w", path, err).
			WithHint("put back the key that the guests know, or remove the file and restart the VMs")
	}
	return signer, nil
}

func newClientKey(path string) ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "banger")
	if err != nil {
		return nil, err
	}
	data := pem.EncodeToMemory(block)
	return data, files.Write(path, data, 0o600)
}
