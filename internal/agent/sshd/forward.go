package sshd

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"banger/internal/localsocket"
)

const forwardDialTimeout = 30 * time.Second

// stream is a TCP or unix connection whose directions end apart.
type stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// forwardTCP serves direct-tcpip, RFC 4254, section 7.2.
func (c *connection) forwardTCP(gone context.Context, nc ssh.NewChannel) {
	var m struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if ssh.Unmarshal(nc.ExtraData(), &m) != nil || m.Port > 1<<16-1 {
		_ = nc.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	address := net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port)))
	forward(gone, nc, func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) })
}

// forwardUnix serves direct-streamlocal@openssh.com, section 2.4 of OpenSSH's
// PROTOCOL file.
func (c *connection) forwardUnix(gone context.Context, nc ssh.NewChannel) {
	var m struct {
		Path      string
		Reserved  string
		Reserved2 uint32
	}
	if ssh.Unmarshal(nc.ExtraData(), &m) != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	forward(gone, nc, func(ctx context.Context) (net.Conn, error) { return localsocket.Dial(ctx, m.Path) })
}

func forward(gone context.Context, nc ssh.NewChannel, dial func(context.Context) (net.Conn, error)) {
	ctx, cancel := context.WithTimeout(gone, forwardDialTimeout)
	conn, err := dial(ctx)
	cancel()
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := nc.Accept()
	if err != nil {
		conn.Close()
		return
	}
	splice(gone, channel, requests, conn.(stream))
}

// splice passes bytes both ways until both directions have ended, the channel is
// closed, or gone. It closes both ends.
func splice(gone context.Context, channel ssh.Channel, requests <-chan *ssh.Request, conn stream) {
	stop := context.AfterFunc(gone, func() { conn.Close(); channel.Close() })
	defer stop()
	var inward, outward, closing sync.WaitGroup
	inward.Go(func() {
		_, _ = io.Copy(conn, channel)
		_ = conn.CloseWrite()
	})
	outward.Go(func() {
		_, _ = io.Copy(channel, conn)
		_ = channel.CloseWrite()
	})
	closing.Go(func() {
		ssh.DiscardRequests(requests) // returns when the client has closed the channel
		inward.Wait()                 // what it sent before that must still arrive
		conn.Close()
	})
	inward.Wait()
	outward.Wait()
	channel.Close()
	closing.Wait()
}

// hostPort splits an address; it is empty if the connection is not TCP.
func hostPort(addr net.Addr) (host string, port int) {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.IP.String(), tcp.Port
	}
	return "", 0
}
