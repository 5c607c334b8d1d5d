package sshhost

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"banger/internal/localsocket"
)

// Limits of an agent. It may ask the user before it signs, but not before it lists
// which keys it has.
const (
	agentListTimeout = 5 * time.Second
	agentSignTimeout = time.Minute
	maxAgentKeys     = 256
)

// agentKey is a key that the user's agent holds.
type agentKey struct {
	*agentSigner
	public  ssh.PublicKey // parsed: a certificate is one
	comment string
}

// PublicKey implements ssh.Signer.
func (k *agentKey) PublicKey() ssh.PublicKey { return k.public }

// agentSigner lets an agent sign in bounded time.
type agentSigner struct {
	ssh.AlgorithmSigner
	conn net.Conn
}

// Sign implements ssh.Signer.
func (s *agentSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	s.conn.SetDeadline(time.Now().Add(agentSignTimeout))
	return s.AlgorithmSigner.Sign(rand, data)
}

// SignWithAlgorithm implements ssh.AlgorithmSigner.
func (s *agentSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.conn.SetDeadline(time.Now().Add(agentSignTimeout))
	return s.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}

// openAgent returns the keys of the agent at a socket. They can sign until ctx or
// end ends that. An agent of another user is refused: the path may be that of one which
// ended long ago, in a directory where others make files.
func openAgent(ctx context.Context, socket string) (keys []*agentKey, end func(), err error) {
	dialing, cancel := context.WithTimeout(ctx, agentListTimeout)
	conn, err := localsocket.DialOwn(dialing, socket)
	cancel()
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	end = func() {
		stop()
		conn.Close()
	}
	conn.SetDeadline(time.Now().Add(agentListTimeout))
	// Without a Close method, the client has no goroutine.
	signers, err := agent.NewClient(struct{ io.ReadWriter }{conn}).Signers()
	if err == nil && len(signers) > maxAgentKeys {
		err = fmt.Errorf("it has more than %d keys", maxAgentKeys)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	for _, s := range signers {
		listed, ok := s.PublicKey().(*agent.Key)
		signer, canSign := s.(ssh.AlgorithmSigner)
		if !ok || !canSign {
			continue
		}
		public, err := ssh.ParsePublicKey(listed.Blob)
		if err != nil {
			continue // of a kind that we do not know
		}
		keys = append(keys, &agentKey{&agentSigner{signer, conn}, public, listed.Comment})
	}
	return keys, end, nil
}
