package localsocket

import (
	"io"
	"net"
)

// GiveBack returns a connection on which first is read before all else: bytes that were
// read ahead, by who spoke another protocol on it. A unix socket's can still close one
// side, and be written to with one system call for several buffers; see net.Buffers.
func GiveBack(conn net.Conn, first []byte) net.Conn {
	if len(first) == 0 {
		return conn
	}
	if unix, ok := conn.(*net.UnixConn); ok {
		return &givenBack{UnixConn: unix, first: first}
	}
	return &prefixed{Conn: conn, first: first}
}

// givenBack is a unix socket with bytes before its own. As with any connection one
// goroutine at a time may read.
type givenBack struct {
	*net.UnixConn
	first []byte
}

func (g *givenBack) Read(p []byte) (int, error) {
	if len(g.first) > 0 {
		n := copy(p, g.first)
		g.first = g.first[n:]
		return n, nil
	}
	return g.UnixConn.Read(p)
}

// WriteTo implements io.WriterTo, since that of the socket would leave out what comes first.
func (g *givenBack) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{g})
}

// prefixed is the same of any other connection.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
