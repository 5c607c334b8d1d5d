package shim

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"banger/sessionstream"
)

// conn is one connection to the session's socket.
type conn struct {
	server *server
	net    *net.UnixConn
	reader *sessionstream.Reader // for one goroutine at a time
	writer *sessionstream.Writer
	known  bool // it has said what it wants; guarded by the server's mutex
}

// serve does what the client wants until one side ends.
func (c *conn) serve() {
	first, err := c.reader.ReadControl()
	if err != nil {
		if refused, ok := asRefusal(err); ok {
			_ = c.send(refused)
		}
		return
	}
	attach, ok := first.(*sessionstream.Attach)
	if !ok {
		_ = c.send(&sessionstream.Error{Code: sessionstream.CodeInvalid, Text: "the first control is not attach"})
		return
	}
	c.awaitClient()
	switch {
	case attach.Role == sessionstream.RoleObserver:
		c.observe()
	case attach.AttachID == "": // the daemon makes one up, not every session for itself
		_ = c.send(&sessionstream.Error{Code: sessionstream.CodeInvalid, Text: "the attachment has no id"})
	default:
		c.attachTo(*attach)
	}
}

// awaitClient lets reading wait for ever; if the session is over, it fails at once.
func (c *conn) awaitClient() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.known = true
	if c.server.over {
		c.net.SetReadDeadline(time.Now())
	} else {
		c.net.SetReadDeadline(time.Time{})
	}
}

// send sends one control. A client that does not read loses its connection.
func (c *conn) send(m sessionstream.Control) error {
	c.net.SetWriteDeadline(time.Now().Add(sendTimeout))
	return c.writer.WriteControl(m)
}

func refusal(code sessionstream.ErrorCode, format string, args ...any) *sessionstream.Error {
	return &sessionstream.Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// asRefusal returns the answer to what the client must not send; any other error
// means that there is nobody to answer.
func asRefusal(err error) (*sessionstream.Error, bool) {
	return errors.AsType[*sessionstream.Error](err)
}

// observe sends the client every change until the final state or its end.
func (c *conn) observe() {
	state, o := c.server.record.observe()
	var reading sync.WaitGroup
	defer reading.Wait()
	defer c.net.Close() // ends the reading
	if c.send(&sessionstream.Attached{State: state, Revision: sessionstream.Revision}) != nil {
		c.server.record.forget(o)
		return
	}
	reading.Go(func() {
		defer c.server.record.forget(o) // ends the sending below
		c.handle(o)
	})
	for m := range o.queue {
		if c.send(m) != nil {
			c.server.record.forget(o)
			return
		}
	}
}

// handle carries out an observer's controls until it sends no more.
func (c *conn) handle(o *observer) {
	for {
		m, err := c.reader.ReadControl()
		if err != nil {
			if e, ok := asRefusal(err); ok {
				c.server.record.send(o, e)
				if e.Code == sessionstream.CodeUnsupported {
					continue
				}
			}
			return
		}
		switch m := m.(type) {
		case *sessionstream.Stop:
			c.server.supervisor.ask(m.Grace(), m.By)
		case *sessionstream.Signal:
			refused := c.server.signal(m, func() { c.server.record.send(o, &sessionstream.Signalled{ID: m.ID}) })
			if refused != nil {
				c.server.record.send(o, refused)
			}
		case *sessionstream.Ping:
			c.server.record.send(o, &sessionstream.Pong{})
		default:
			c.server.record.send(o, &sessionstream.Error{Code: sessionstream.CodeInvalid, Text: "an observer must not send that"})
			return
		}
	}
}
