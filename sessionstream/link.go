package sessionstream

import (
	"net"
	"sync"
)

// link is the sending side of the present connection, if there is one. Safe for
// concurrent use.
type link struct {
	sending sync.Mutex // held while something is sent, so that stdin goes in its order

	mu     sync.Mutex // guards everything below
	conn   net.Conn   // nil while there is none
	writer *Writer    // of conn
}

// follow takes a connection into use. The caller holds sending, until it has sent what the
// last one may not have delivered.
func (l *link) follow(conn net.Conn, w *Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.writer = conn, w
}

// close ends the present connection.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
	l.conn, l.writer = nil, nil
}

// present returns the present connection's writer, nil if there is none.
func (l *link) present() *Writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writer
}

// send sends a control over the present connection.
func (l *link) send(c Control) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	return l.pass(func(w *Writer) error { return w.WriteControl(c) })
}

// pass sends over the present connection. The caller holds sending.
func (l *link) pass(send func(*Writer) error) error {
	w := l.present()
	if w == nil {
		return ErrNoConnection
	}
	return l.sent(w, send(w))
}

// sent ends the sending side of a connection that failed to send, so that Receive seeks
// another when this one ends. What has come over it by then is still received: the
// session may have ended, and its exit is not told twice.
func (l *link) sent(w *Writer, err error) error {
	if err == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer != w {
		return err
	}
	if half, ok := l.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // for a server that is still there
	} else {
		l.conn.Close()
	}
	return err
}
