package sshd

import (
	"context"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxRemoteForwards bounds the listeners of one connection.
const maxRemoteForwards = 100

// remoteForwards are the listeners that a client asked for, RFC 4254, section
// 7.1. Its methods belong to one goroutine.
type remoteForwards struct {
	conn      ssh.Conn
	listeners map[forwardAddress]net.Listener
	running   sync.WaitGroup
}

// forwardAddress is the payload of tcpip-forward; a client names its listener by it.
type forwardAddress struct {
	Host string
	Port uint32
}

func newRemoteForwards(conn ssh.Conn) *remoteForwards {
	return &remoteForwards{conn: conn, listeners: make(map[forwardAddress]net.Listener)}
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
	f.listeners[address] = l
	f.running.Go(func() { f.accept(gone, l, address) })
	return payload, true
}

// cancel serves cancel-tcpip-forward; connections that it accepted continue.
func (f *remoteForwards) cancel(request []byte) bool {
	var address forwardAddress
	if ssh.Unmarshal(request, &address) != nil {
		return false
	}
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

// forward opens a forwarded-tcpip channel, RFC 4254, section 7.2.
func (f *remoteForwards) forward(gone context.Context, conn stream, origin net.Addr, address forwardAddress) {
	originHost, originPort := hostPort(origin)
	channel, requests, err := f.conn.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}{address.Host, address.Port, originHost, uint32(originPort)}))
	if err != nil {
		conn.Close()
		return
	}
	splice(gone, channel, requests, conn)
}
