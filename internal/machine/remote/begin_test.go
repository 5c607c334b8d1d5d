package remote

import (
	"crypto/ed25519"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

// closing is a connection to a server that closes some channels instead of answering, and
// runs what it is asked to run, which says nothing, in the next ones.
func closing(t *testing.T, closes int) *ssh.Client {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		_, channels, requests, err := ssh.NewServerConn(conn, config)
		served <- err
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for offered := range channels {
			channel, asked, err := offered.Accept()
			if err != nil {
				return
			}
			request := <-asked // to run a command
			if closes--; closes < 0 {
				_ = request.Reply(true, nil)
				go func() {
					for request := range asked {
						_ = request.Reply(true, nil)
					}
				}()
				continue
			}
			channel.Close()
		}
	}()
	client, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(signer.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); listener.Close() })
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return client
}

func TestBegin_ACommandWhoseChannelIsClosedIsBegunInAnother(t *testing.T) {
	for closes, begins := range map[int]bool{0: true, 1: true, beginTries - 1: true, beginTries: false} {
		tries := 0
		session, err := begin(t.Context(), closing(t, closes), func(session *ssh.Session) error {
			tries++
			return session.Start("true")
		})
		if (err == nil) != begins || tries != min(closes+1, beginTries) {
			t.Errorf("of %d channels that are closed: begun after %d tries, %v", closes, tries, err)
		}
		if err == nil {
			session.Close()
		}
	}
}
