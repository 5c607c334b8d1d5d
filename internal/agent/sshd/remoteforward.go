package sshd

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"banger/internal/agent/passwd"
)

// maxRemoteForwards bounds the listeners of one connection.
const maxRemoteForwards = 100

// remoteForwards are the listeners that a client asked for, RFC 4254, section
// 7.1, and section 2.4 of OpenSSH's PROTOCOL file. Its methods belong to one goroutine.
type remoteForwards struct {
	conn      ssh.Conn
	user      passwd.User // whose the sockets are
	listeners map[forwardAddress]net.Listener
	running   sync.WaitGroup
}

// forwardAddress is the payload of tcpip-forward; a client names its listener by it.
// A unix socket is its path and port 0, which no TCP listener has.
type forwardAddress struct {
	Host string
	Port uint32
}

func newRemoteForwards(conn ssh.Conn, user passwd.User) *remoteForwards {
	return &remoteForwards{conn: conn, user: user, listeners: make(map[forwardAddress]net.Listener)}
}

// open serves tcpip-forward. The payload of the answer is the port, if the
// client left its choice to us.
func (f *remoteForwards) open(gone context.Context, request []byte) (payload []byte, ok bool) {
	var address forwardAddress
	if ssh.Unmarshal(request, &address) != nil || address.Port > 1<<16-1 || len(f.listeners) >= maxRemoteForwards {
		return nil, false
	}
	var config net.ListenConfig
	l, err := config.Listen(gone, "tcp", net.JoinHostPort(address.Host, strconv.Itoa(int(address.Port))))
	if err != nil {
		return nil, false
	}
	if address.Port == 0 {
		_, port := hostPort(l.Addr())
		address.Port = uint32(port)
		payload = ssh.Marshal(struct{ Port uint32 }{address.Port})
	}
	f.add(gone, address, l)
	return payload, true
}

func (f *remoteForwards) add(gone context.Context, address forwardAddress, l net.Listener) {
	f.listeners[address] = l
	f.running.Go(func() { f.accept(gone, l, address) })
}

// openUnix serves streamlocal-forward@openssh.com. The socket is the user's alone, as with
// sshd(8); nothing that has the name already is removed.
func (f *remoteForwards) openUnix(gone context.Context, request []byte) bool {
	address, ok := unixForward(request)
	if !ok || len(f.listeners) >= maxRemoteForwards {
		return false
	}
	var config net.ListenConfig
	l, err := config.Listen(gone, "unix", address.Host)
	if err != nil {
		return false
	}
	if os.Chmod(address.Host, 0o600) != nil ||
		os.Geteuid() == 0 && os.Lchown(address.Host, int(f.user.UID), int(f.user.GID)) != nil {
		l.Close()
		return false
	}
	f.add(gone, address, l)
	return true
}

// cancelUnix serves cancel-streamlocal-forward@openssh.com.
func (f *remoteForwards) cancelUnix(request []byte) bool {
	address, ok := unixForward(request)
	return ok && f.remove(address)
}

func unixForward(request []byte) (address forwardAddress, ok bool) {
	var m struct{ Path string }
	if ssh.Unmarshal(request, &m) != nil || !filepath.IsAbs(m.Path) {
		return forwardAddress{}, false
	}
	return forwardAddress{Host: m.Path}, true
}

// cancel serves cancel-tcpip-forward; connections that it accepted continue.
func (f *remoteForwards) cancel(request []byte) bool {
	var address forwardAddress
	return ssh.Unmarshal(request, &address) == nil && address.Port != 0 && f.remove(address)
}

func (f *remoteForwards) remove(address forwardAddress) bool {
	l, ok := f.listeners[address]
	if !ok {
		return false
	}
	delete(f.listeners, address)
	return l.Close() == nil
}

// close ends all of them and waits for their connections, which end with the
// client's.
func (f *remoteForwards) close() {
	for _, l := range f.listeners {
		l.Close()
	}
	f.running.Wait()
}

func (f *remoteForwards) accept(gone context.Context, l net.Listener, address forwardAddress) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.running.Go(func() { f.forward(gone, conn.(stream), conn.RemoteAddr(), address) })
	}
}

// forward opens a channel for a connection: forwarded-tcpip, RFC 4254, section 7.2, or that
// of a unix socket.
func (f *remoteForwards) forward(gone context.Context, conn stream, origin net.Addr, address forwardAddress) {
	kind, about := "forwarded-streamlocal@openssh.com", ssh.Marshal(struct{ Path, Reserved string }{Path: address.Host})
	if address.Port != 0 {
		originHost, originPort := hostPort(origin)
		kind, about = "forwarded-tcpip", ssh.Marshal(struct {
			Host       string
			Port       uint32
			OriginHost string
			OriginPort uint32
		}{address.Host, address.Port, originHost, uint32(originPort)})
	}
	channel, requests, err := f.conn.OpenChannel(kind, about)
	if err != nil {
		conn.Close()
		return
	}
	splice(gone, channel, requests, conn)
}
