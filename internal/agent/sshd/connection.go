package sshd

import (
	"context"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"banger/internal/agent/passwd"
)

// connection is one client that has logged in.
type connection struct {
	server *Server
	ssh    *ssh.ServerConn
	user   passwd.User
}

// serve serves all channels and requests and returns when the connection has
// ended and nothing of it is left but commands that ignored the hang-up.
func (c *connection) serve(ctx context.Context, chans <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	// gone ends when the client has, or when the server is stopped.
	gone, hangUp := context.WithCancel(ctx)
	var globals sync.WaitGroup
	globals.Go(func() { c.serveGlobalRequests(gone, requests) })
	c.serveChannels(gone, chans, hangUp)
	c.ssh.Close()
	for ch := range chans { // those that came while the server stopped
		_ = ch.Reject(ssh.ResourceShortage, "the server stops")
	}
	globals.Wait()
}

// serveChannels returns when the client has gone, or when the server is stopped
// and the commands have said their last words or have had the time to.
func (c *connection) serveChannels(gone context.Context, chans <-chan ssh.NewChannel, hangUp func()) {
	var channels sync.WaitGroup
	defer channels.Wait()
	defer hangUp()
	for {
		select {
		case ch, ok := <-chans:
			if !ok {
				return
			}
			channels.Go(func() { c.serveChannel(gone, ch) })
		case <-gone.Done():
			timer := time.AfterFunc(drainTimeout, func() { c.ssh.Close() })
			defer timer.Stop()
			channels.Wait()
			return
		}
	}
}

// serveChannel opens one channel. It never blocks the others.
func (c *connection) serveChannel(gone context.Context, ch ssh.NewChannel) {
	switch kind := ch.ChannelType(); {
	case kind == "session":
		c.serveSession(gone, ch)
	case c.server.config.Only != nil:
		_ = ch.Reject(ssh.Prohibited, "a session does not forward")
	case kind == "direct-tcpip":
		c.forwardTCP(gone, ch)
	case kind == "direct-streamlocal@openssh.com":
		c.forwardUnix(gone, ch)
	default:
		_ = ch.Reject(ssh.UnknownChannelType, "unknown channel type")
	}
}

// serveGlobalRequests answers every request, since an unanswered one would stop
// the whole connection.
func (c *connection) serveGlobalRequests(gone context.Context, requests <-chan *ssh.Request) {
	forwards := newRemoteForwards(c.ssh, c.user)
	defer forwards.close()
	for r := range requests {
		var ok bool
		var payload []byte
		switch kind := r.Type; {
		case kind == "keepalive@openssh.com":
			ok = true
		case c.server.config.Only != nil:
		case kind == "tcpip-forward":
			payload, ok = forwards.open(gone, r.Payload)
		case kind == "cancel-tcpip-forward":
			ok = forwards.cancel(r.Payload)
		case kind == "streamlocal-forward@openssh.com":
			ok = forwards.openUnix(gone, r.Payload)
		case kind == "cancel-streamlocal-forward@openssh.com":
			ok = forwards.cancelUnix(r.Payload)
		}
		if r.WantReply {
			_ = r.Reply(ok, payload) // fails only if the client has gone
		}
	}
}
