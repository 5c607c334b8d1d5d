package guest_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// pipe returns the two ends of a connection in memory. Unlike that of net.Pipe
// its Write does not wait for a Read, as SSH needs: both sides speak first.
func pipe() (net.Conn, net.Conn) {
	a, b := newHalf(), newHalf()
	return &end{in: a, out: b}, &end{in: b, out: a}
}

// end is one end of a pipe. It knows no addresses, and a deadline closes it.
type end struct {
	net.Conn
	in, out *half
}

func (e *end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }
func (e *end) SetDeadline(time.Time) error { return e.Close() }
func (e *end) RemoteAddr() net.Addr        { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
func (e *end) LocalAddr() net.Addr         { return e.RemoteAddr() }

func (e *end) Close() error {
	e.in.close()
	e.out.close()
	return nil
}

// half is one direction.
type half struct {
	mu     sync.Mutex // guards the fields below
	filled sync.Cond
	data   bytes.Buffer
	closed bool
}

func newHalf() *half {
	h := &half{}
	h.filled.L = &h.mu
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.data.Len() == 0 {
		if h.closed {
			return 0, io.EOF
		}
		h.filled.Wait()
	}
	return h.data.Read(p)
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, io.ErrClosedPipe
	}
	h.filled.Broadcast()
	return h.data.Write(p)
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.filled.Broadcast()
}
