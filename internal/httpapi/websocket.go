package httpapi

import (
	"net"
	"net/http"

	"github.com/coder/websocket"

	"banger"
	"banger/api"
	"banger/sessionstream"
)

// attachWebSocket is attachSession for programs that have WebSockets (RFC 6455) and no
// other connections, such as those in browsers: what is sent in binary messages, end to
// end, is the stream. A page of another origin is refused.
func (s *server) attachWebSocket(w http.ResponseWriter, r *http.Request, q api.SessionRef) error {
	if !hasToken(r.Header["Sec-Websocket-Protocol"], sessionstream.UpgradeToken) {
		return banger.Errorf(banger.CodeInvalid, "cannot attach: the request does not offer the subprotocol %s", sessionstream.UpgradeToken).
			WithHint("in a browser: new WebSocket(url, %q)", sessionstream.UpgradeToken)
	}
	ctx, serve, err := s.attachment(r.Context(), q)
	if err != nil || serve == nil {
		return err
	}
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:    []string{sessionstream.UpgradeToken},
		CompressionMode: websocket.CompressionDisabled, // it is for slow networks, which this socket is not
	})
	if err != nil {
		return nil // which has been answered
	}
	defer func() { _ = socket.CloseNow() }()
	// Its end ends all reading and writing.
	conn := websocket.NetConn(ctx, socket, websocket.MessageBinary)
	serve(&webConn{conn, socket})
	return nil
}

// webConn is a WebSocket as a connection.
type webConn struct {
	net.Conn
	socket *websocket.Conn
}

// Close tells the client that this is the end. That of the embedded connection would cut
// it off instead while somebody reads.
func (c *webConn) Close() error { return c.socket.Close(websocket.StatusNormalClosure, "") }
