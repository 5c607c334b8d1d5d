package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"banger"
	"banger/api"
	"banger/internal/localsocket"
	"banger/sessionstream"
)

// Attachments serves the streams of sessions; session.Attachments does.
type Attachments interface {
	// AttachSession finds a session and returns what serves its streams on a connection,
	// until one side ends or ctx does, and closes that. Of two connections of one
	// attachment that with the higher number counts.
	AttachSession(ctx context.Context, vm, session string) (serve func(ctx context.Context, conn net.Conn, number int64), err error)
}

// upgraded serves an operation that changes what is spoken on the connection, until that
// ends: a call under way. An error of serve is of before the change; then nothing has been
// sent.
func upgraded[Q any](s *server, o api.Operation[Q, api.None], serve func(http.ResponseWriter, *http.Request, Q) error) handler {
	return handler{o.ID, func(w http.ResponseWriter, r *http.Request) {
		q, err := prepared(s, w, r, o)
		if err == nil && !asksFor(r, o.Upgrade) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", o.Upgrade)
			err := banger.Errorf(banger.CodeInvalid, "cannot serve the request: it does not ask for an upgrade of its connection to %s", o.Upgrade).
				WithHint("send the headers `Connection: Upgrade` and `Upgrade: %s` over HTTP/1.1; see docs/PROTOCOL.md", o.Upgrade)
			writeResult(w, http.StatusUpgradeRequired, api.ErrorBody{Error: err})
			return
		}
		if err == nil {
			err = serve(w, r, q)
		}
		if err != nil {
			writeError(w, r, err)
		}
	}}
}

// asksFor reports whether a request asks for an upgrade to a protocol: RFC 9110, section
// 7.8, after which that means nothing in HTTP/1.0.
func asksFor(r *http.Request, protocol string) bool {
	return r.ProtoAtLeast(1, 1) && hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], protocol)
}

// hasToken reports whether lists of a header have a token, in whatever case.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// attachSession makes the connection one to a session's streams. What the client has sent
// behind its request belongs to them already.
func (s *server) attachSession(w http.ResponseWriter, r *http.Request, q api.SessionRef) error {
	if r.ContentLength != 0 {
		return banger.Errorf(banger.CodeInvalid, "cannot attach: the request has a body").
			WithHint("send frames behind the request, without Content-Length and Transfer-Encoding")
	}
	return s.handOver(w, r, q)
}

// execSession starts a session and makes the connection one to its streams. Once the
// session is recorded, it continues whether the client is there or not.
func (s *server) execSession(w http.ResponseWriter, r *http.Request, q api.VMBody[banger.SessionRequest]) error {
	q.Body.NoWait = true
	x, err := s.Sessions.StartSession(r.Context(), q.VM, q.Body)
	if err != nil {
		return err
	}
	return s.handOver(w, r, api.SessionRef{VM: string(x.VMID), Session: string(x.ID)})
}

// handOver makes the connection of a request whose body has been read one to a session's
// streams.
func (s *server) handOver(w http.ResponseWriter, r *http.Request, q api.SessionRef) error {
	ctx, serve, err := s.attachment(r.Context(), q)
	if err != nil || serve == nil {
		return err
	}
	return switchTo(ctx, w, sessionstream.UpgradeToken, serve)
}

// switchTo makes the connection of a request, whose body has been read, one of another
// protocol, and serves it.
func switchTo(ctx context.Context, w http.ResponseWriter, protocol string, serve func(net.Conn)) error {
	hijacked, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	unblock := context.AfterFunc(ctx, func() { _ = hijacked.Close() })
	defer unblock()
	conn, err := takeOver(hijacked, buffered.Reader)
	if err == nil {
		_, err = io.WriteString(conn, switching(w.Header(), protocol))
	}
	if err != nil {
		_ = conn.Close()
		return nil // there is nobody to be answered
	}
	serve(conn)
	return nil
}

// attachment returns what serves the streams of a session on a connection, nil if the client
// has gone, and the context in which it does. asked is that of the request.
func (s *server) attachment(asked context.Context, q api.SessionRef) (ctx context.Context, serve func(net.Conn), err error) {
	ctx = untilTheEnd(asked)
	attach, err := s.Attachments.AttachSession(ctx, q.VM, q.Session)
	if err != nil {
		return ctx, nil, err
	}
	number, ok := numberOf(asked)
	if !ok {
		return ctx, nil, nil
	}
	return ctx, func(conn net.Conn) { attach(ctx, conn, number) }, nil
}

// switching is the head of the answer to an upgrade.
func switching(header http.Header, protocol string) string {
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", protocol)
	var head strings.Builder
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(&head)
	head.WriteString("\r\n")
	return head.String()
}

// takeOver returns a connection of net/http's as one that has no limits of time, and on
// which what net/http has read ahead is still to be read.
func takeOver(conn net.Conn, ahead *bufio.Reader) (net.Conn, error) {
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return conn, err
	}
	rest, err := ahead.Peek(ahead.Buffered())
	if err != nil {
		return conn, err
	}
	return localsocket.GiveBack(conn, bytes.Clone(rest)), nil
}
