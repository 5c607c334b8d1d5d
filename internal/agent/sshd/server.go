// Package sshd is the SSH server of a guest: publickey only, with exec, shells,
// pseudo-terminals, subsystems and forwarding, so that a user's own ssh, scp,
// sftp and rsync work with any image. It starts commands as sshd(8) does.
//
// Whoever holds an authorised key may log in as any user, root included; so
// forwarding is done with the server's own rights.
package sshd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/agent/passwd"
)

// Limits on what somebody can do who has not logged in yet.
const (
	handshakeTimeout  = 30 * time.Second // a fresh login takes 1.5 s in an emulated guest
	maxStartups       = 32               // connections that have not authenticated yet; the oldest gives way
	maxAuthTries      = 6
	acceptRetryDelay  = 100 * time.Millisecond
	drainTimeout      = time.Second // for commands to end when the server is stopped
	serverIdentity    = "SSH-2.0-banger"
	keepAliveInterval = 30 * time.Second
)

// Config is what a server needs.
type Config struct {
	HostKey        ssh.Signer
	AuthorizedKeys []ssh.PublicKey
	Users          passwd.DB
	// ImageUser is whom a login as guestconfig.ImageUser means, as in an image's
	// configuration; empty for root.
	ImageUser string
	// Env are the variables that commands have beside those of a login: what an image
	// sets. Its PATH takes the place of the usual one.
	Env map[string]banger.ByteString
	// Subsystems holds the argument vectors of the programs that serve the
	// subsystems of RFC 4254, 6.5. They run as the user who logged in.
	Subsystems map[string][]string
	// SCP is the argument vector of the program that serves scp -O, before the arguments of
	// scp; nil leaves that to the guest's own.
	SCP []string
	// Only, if not nil, restricts the server to one command.
	Only   *Only
	Logger *slog.Logger
	Start  func(*exec.Cmd) error // starts a command, as its method Start does; nil for that
}

// Only is a command that is all a server has: a shell is that, in the environment of this
// process and as its user, and a command's text is one more argument of it. Every user name is
// accepted. Subsystems and forwarding are refused.
type Only struct{ Command []string }

// Server serves SSH. Safe for concurrent use.
type Server struct {
	config   Config
	ssh      *ssh.ServerConfig
	startups startups
}

// New returns a server that does nothing yet.
func New(config Config) *Server {
	if config.Start == nil {
		config.Start = (*exec.Cmd).Start
	}
	s := &Server{config: config}
	s.ssh = &ssh.ServerConfig{
		PublicKeyCallback: s.authenticate,
		MaxAuthTries:      maxAuthTries,
		ServerVersion:     serverIdentity,
	}
	s.ssh.AddHostKey(config.HostKey)
	return s
}

// Serve accepts connections on l and owns it. When ctx ends, it hangs up on the
// commands that still run, passes on what they say at the end, for a bounded
// time, and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			s.admit(ctx, nc, &conns)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("cannot accept connections: %w", err)
		default: // out of file descriptors or memory: others will be freed
			s.config.Logger.Warn("cannot accept connection", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptRetryDelay):
			}
		}
	}
}

// admit serves a new connection. If too many have not authenticated yet, the oldest of
// them is closed for it: connections that are only held, by whoever reaches the port, keep
// nobody out who has a key.
func (s *Server) admit(ctx context.Context, nc net.Conn, conns *sync.WaitGroup) {
	if evicted := s.startups.add(nc); evicted != nil {
		s.config.Logger.Warn("too many connections that have not logged in: the oldest is closed", "remote", evicted.RemoteAddr())
		evicted.Close()
	}
	conns.Go(func() { s.ServeConn(ctx, nc) })
}

// ServeConn serves one connection, and owns it. It returns when that has ended, or with ctx.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	login, chans, requests, err := s.handshake(ctx, nc)
	s.startups.remove(nc)
	if err != nil {
		s.config.Logger.Info("refused connection", "remote", nc.RemoteAddr(), "error", err)
		return
	}
	c := &connection{server: s, ssh: login}
	c.user, err = s.user(login.User())
	if err != nil { // the user was deleted a moment ago
		login.Close()
	}
	c.serve(ctx, chans, requests)
}

// handshake returns when the client has authenticated itself.
func (s *Server) handshake(ctx context.Context, nc net.Conn) (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	if err := nc.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, nil, nil, err
	}
	login, chans, requests, err := ssh.NewServerConn(nc, s.ssh)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		login.Close()
		return nil, nil, nil, err
	}
	return login, chans, requests, nil
}

// Listen opens a listener that notices clients that vanished without a word.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepAliveInterval, Interval: keepAliveInterval, Count: 3,
	}}
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return l, nil
}
