// Package httpapitest has a daemon that serves the fake of all services.
package httpapitest

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"banger/internal/httpapi"
	"banger/internal/localsocket"
	"banger/internal/servicetest"
)

// Daemon serves the API on a real unix socket, as the daemon does.
type Daemon struct {
	t       testing.TB
	socket  string
	version string

	mu    sync.Mutex // guards conns and what ends the running server
	conns map[net.Conn]struct{}
	stop  context.CancelFunc
	done  chan struct{}
}

// NewDaemon returns a daemon that does not run yet. It is stopped when the test ends.
func NewDaemon(t testing.TB, socket, version string) *Daemon {
	d := &Daemon{t: t, socket: socket, version: version}
	t.Cleanup(d.Stop)
	return d
}

// Start serves f.
func (d *Daemon) Start(f *servicetest.Fake) {
	d.t.Helper()
	l, err := localsocket.Listen(d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns, d.stop, d.done = map[net.Conn]struct{}{}, cancel, make(chan struct{})
	done := d.done
	go func() {
		defer close(done)
		handler := httpapi.New(httpapi.Services{Services: f.Services(), Attachments: f, Copies: f}, d.version)
		if err := httpapi.Serve(ctx, &recorder{Listener: l, d: d}, handler, slog.New(slog.DiscardHandler)); err != nil {
			d.t.Error(err)
		}
	}()
}

// Stop ends the daemon as SIGTERM does.
func (d *Daemon) Stop() {
	d.mu.Lock()
	stop, done := d.stop, d.done
	d.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// Cut breaks every connection, as SIGKILL does: what was sent so far arrives,
// nothing after it. Then it ends the daemon.
func (d *Daemon) Cut() {
	d.mu.Lock()
	for conn := range d.conns {
		_ = conn.Close()
	}
	d.mu.Unlock()
	d.Stop()
}

// recorder keeps the connections of a listener.
type recorder struct {
	net.Listener
	d *Daemon
}

func (r *recorder) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err == nil {
		r.d.mu.Lock()
		r.d.conns[conn] = struct{}{}
		r.d.mu.Unlock()
	}
	return conn, err
}
