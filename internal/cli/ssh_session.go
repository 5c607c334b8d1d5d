package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"
)

// SSHSession is what a client that logs in to a session gets.
type SSHSession struct {
	HostKey ssh.Signer
	Client  ssh.PublicKey // who is let in
	Command []string      // an argument vector, of this program
}

// dialSession returns a connection to an SSH server of this process, behind which banger
// itself attaches to a session.
func (c *CLI) dialSession(ctx context.Context, n sshName) (net.Conn, error) {
	if c.ServeSSH == nil {
		return nil, fmt.Errorf("cannot connect to session %q: there is no SSH server", n.session)
	}
	vm, err := c.Backend.Services().VMs.GetVM(ctx, n.vm)
	if err != nil {
		return nil, err
	}
	client, host, err := c.sessionKeys()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find own executable: %w", err)
	}
	near, far := net.Pipe()
	conn := &servedConn{Conn: near}
	conn.serving.Go(func() {
		c.ServeSSH(context.WithoutCancel(ctx), far, SSHSession{
			HostKey: host, Client: client.PublicKey(),
			Command: []string{self, "session", "attach", "--", vm.Name, n.session},
		})
	})
	return conn, nil
}

// servedConn is a connection to a server of this process.
type servedConn struct {
	net.Conn
	serving sync.WaitGroup
}

// Close returns when the server has ended, too.
func (c *servedConn) Close() error {
	defer c.serving.Wait()
	return c.Conn.Close()
}

// sessionKeys are banger's own key, by which the user's ssh logs in, and the host key of
// sessions: that of no VM. It follows from the first one, so that the process that ssh asks for
// it need not know the one that serves.
func (c *CLI) sessionKeys() (client, host ssh.Signer, err error) {
	path := c.Backend.Installation().ClientKey()
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read SSH key: %w", err)
	}
	if client, err = ssh.ParsePrivateKey(data); err != nil {
		return nil, nil, fmt.Errorf("cannot parse SSH key %s: %w", path, err)
	}
	seed, err := hkdf.Key(sha256.New, data, nil, "host key of banger's sessions", ed25519.SeedSize)
	if err != nil {
		return nil, nil, err
	}
	host, err = ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed))
	return client, host, err
}
