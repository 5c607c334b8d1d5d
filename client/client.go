// Package client speaks to banger's daemon over its unix socket. A Client
// implements the same service interfaces as the daemon's services, so that a
// program works with either.
//
// Errors are *banger.Error as the daemon sent them. When a connection breaks,
// what only reads (WaitSession, WatchEvents, ReadLogs) continues by itself where
// it was, until its context ends; so does SendSession with an offset. Any other
// call fails with CodeUnavailable, and whether it was carried out is not known.
package client

import (
	"context"
	"net"
	"net/http"

	"banger"
	"banger/internal/localsocket"
	"banger/sessionstream"
)

// Client is a daemon's client. It keeps no connection between calls. Safe for
// concurrent use.
type Client struct {
	socket  string
	version string
	dial    func(context.Context) (net.Conn, error)
	http    *http.Client
}

var (
	_ banger.VMService      = (*Client)(nil)
	_ banger.RemoteService  = (*Client)(nil)
	_ banger.SessionService = (*Client)(nil)
	_ banger.SessionStreams = (*Client)(nil)
	_ banger.SessionControl = (*Client)(nil)
	_ banger.ImageService   = (*Client)(nil)
	_ banger.EventService   = (*Client)(nil)
	_ banger.HostService    = (*Client)(nil)
	_ sessionstream.Dialer  = (*Client)(nil)
)

// Option changes how a client works.
type Option func(*Client)

// WithDialer makes the client connect through dial, which may for instance start
// a daemon first. It is called for every connection, also for those that replace
// a broken one. A *banger.Error of it with another code than CodeUnavailable is
// final: nothing is tried again after it.
func WithDialer(dial func(context.Context) (net.Conn, error)) Option {
	return func(c *Client) { c.dial = dial }
}

// New returns a client of the daemon at a socket. version is that of this build,
// by which the daemon reports whether the two can work together; a program that is
// not part of banger gives "".
func New(socketPath, version string, options ...Option) *Client {
	c := &Client{socket: socketPath, version: version}
	c.dial = func(ctx context.Context) (net.Conn, error) {
		return localsocket.Dial(ctx, socketPath)
	}
	for _, option := range options {
		option(c)
	}
	// A new connection to a unix socket costs less than it does to tell whether a
	// kept one is still good.
	c.http = &http.Client{
		Transport:     &http.Transport{DialContext: c.connect, DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Services returns the client as every service.
func (c *Client) Services() banger.Services {
	return banger.Services{VMs: c, Remotes: c, Sessions: c, Streams: c, Control: c, Images: c, Kernels: c, Events: c, Host: c, Trash: c, Disk: c}
}

func (c *Client) connect(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, &dialError{err}
	}
	return conn, nil
}
