package sshd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"

	"banger/internal/agent/passwd"
)

// agentForward is a socket in the guest at which the client's ssh-agent answers, for one
// session channel; draft-ietf-sshm-ssh-agent, as OpenSSH has it.
type agentForward struct {
	dir      string // the user's, for the socket only
	socket   string
	listener net.Listener
	end      func()
	serving  sync.WaitGroup
}

// openAgentForward makes one for a user, whose connections end with gone.
func openAgentForward(gone context.Context, conn ssh.Conn, user passwd.User) (*agentForward, error) {
	dir, err := os.MkdirTemp("", "ssh-")
	if err != nil {
		return nil, fmt.Errorf("cannot forward agent: %w", err)
	}
	gone, cancel := context.WithCancel(gone)
	a := &agentForward{dir: dir, socket: filepath.Join(dir, "agent"), end: cancel}
	var config net.ListenConfig
	if a.listener, err = config.Listen(gone, "unix", a.socket); err == nil {
		err = a.giveTo(user)
	}
	if err != nil {
		a.close()
		return nil, fmt.Errorf("cannot forward agent: %w", err)
	}
	a.serving.Go(func() { a.accept(gone, conn) })
	return a, nil
}

// giveTo makes the socket and its directory the user's.
func (a *agentForward) giveTo(user passwd.User) error {
	err := os.Chmod(a.socket, 0o600)
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Lchown(a.socket, int(user.UID), int(user.GID)), os.Lchown(a.dir, int(user.UID), int(user.GID)))
	}
	return err
}

func (a *agentForward) accept(gone context.Context, conn ssh.Conn) {
	for {
		local, err := a.listener.Accept()
		if err != nil {
			return
		}
		a.serving.Go(func() {
			channel, requests, err := conn.OpenChannel("auth-agent@openssh.com", nil)
			if err != nil {
				local.Close()
				return
			}
			splice(gone, channel, requests, local.(stream))
		})
	}
}

// close ends the forwarding, and what is connected to the agent.
func (a *agentForward) close() {
	if a == nil {
		return
	}
	if a.listener != nil {
		a.listener.Close()
	}
	a.end()
	a.serving.Wait()
	os.RemoveAll(a.dir)
}
