package httpapi

import (
	"context"
	"net"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// order numbers connections as they come, and requests on those that are used again.
type order struct{ last atomic.Int64 }

// visit is a connection of a client.
type visit struct {
	ctx      context.Context // ends with the server
	conn     net.Conn
	order    *order
	number   int64 // of the connection
	requests int   // that have come on it; used by whoever serves the one at hand
}

type visitKey struct{}

// note is http.Server.ConnContext, which is called for one connection after the other.
func (o *order) note(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, visitKey{}, &visit{ctx: ctx, conn: conn, order: o, number: o.last.Add(1)})
}

// visitOf returns the connection of a request, nil if it did not come through Serve.
func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// untilTheEnd returns the context of a request whose connection it takes over. It ends with
// the server only: that of a request also ends when its client has sent all that it will
// send, and may still read.
func untilTheEnd(ctx context.Context) context.Context {
	if v := visitOf(ctx); v != nil {
		return v.ctx
	}
	return ctx
}

// numberOf numbers a request among those of other connections: of a client that closes
// one connection and then makes another, the later one has the higher number, however
// late the earlier one is served. It reports false if that client has gone already.
func numberOf(ctx context.Context) (number int64, ok bool) {
	v := visitOf(ctx)
	if v == nil {
		return 0, true
	}
	if v.requests <= 1 {
		return v.number, true
	}
	// Used before, it may be older than what its client has closed since. A client that is
	// still there has yet to make its next connection, which will have a higher number.
	return v.order.last.Add(1), !v.gone()
}

// gone reports whether the client has closed the connection.
func (v *visit) gone() (gone bool) {
	conn, ok := v.conn.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) { gone = closedByPeer(fd) })
	return gone || err != nil
}

// closedByPeer reports POLLHUP: of a unix socket, that the other end is closed
// in both directions; poll(2), unix_poll of Linux.
func closedByPeer(fd uintptr) bool {
	events := []unix.PollFd{{Fd: int32(fd)}}
	_, err := unix.Poll(events, 0)
	return err == nil && events[0].Revents&unix.POLLHUP != 0
}
