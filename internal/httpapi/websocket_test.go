package httpapi_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"banger"
	"banger/internal/servicetest"
	"banger/sessionstream"
)

// dialWeb opens a WebSocket to the API, as a page of an origin does.
func (r *rig) dialWeb(origin, subprotocol string) (socket *websocket.Conn, status int, body string) {
	r.Helper()
	o := &websocket.DialOptions{HTTPClient: r.client, HTTPHeader: http.Header{}, Host: "dev.example:8080"}
	if origin != "" {
		o.HTTPHeader.Set("Origin", origin)
	}
	if subprotocol != "" {
		o.Subprotocols = []string{subprotocol}
	}
	socket, answer, err := websocket.Dial(r.Context(), "ws://x/v1/vms/v/sessions/s/attach", o)
	if answer == nil {
		r.Fatal(err)
	}
	if answer.Body != nil { // of a refusal
		defer answer.Body.Close()
	}
	if err == nil {
		r.Cleanup(func() { _ = socket.CloseNow() })
		return socket, answer.StatusCode, ""
	}
	refusal, _ := io.ReadAll(answer.Body)
	return nil, answer.StatusCode, string(refusal)
}

// mustDialWeb is dialWeb of a client that is let in.
func (r *rig) mustDialWeb() *websocket.Conn {
	r.Helper()
	socket, status, body := r.dialWeb("http://dev.example:8080", sessionstream.UpgradeToken)
	if socket == nil {
		r.Fatalf("%d, %s", status, body)
	}
	return socket
}

// The messages of a WebSocket, wherever they are cut, are the stream that follows an
// upgrade; behind its end comes the regular close.
func TestWebSocket_CarriesTheBytesOfTheStream(t *testing.T) {
	_, stream := handOver(t, "client")
	_, answer := handOver(t, "server")
	r := newRigOf(t, &servicetest.Fake{OnAttach: func(conn net.Conn, _ int64) {
		got := make([]byte, len(stream))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != string(stream) {
			t.Errorf("the stream is %q, %v", got, err)
		}
		for _, part := range [][]byte{answer[:3], answer[3:]} {
			_, _ = conn.Write(part)
		}
	}})
	for _, size := range []int{1, 7, len(stream)} {
		socket := r.mustDialWeb()
		if socket.Subprotocol() != sessionstream.UpgradeToken {
			t.Errorf("the subprotocol is %q", socket.Subprotocol())
		}
		for rest := stream; len(rest) > 0; {
			n := min(size, len(rest))
			if err := socket.Write(t.Context(), websocket.MessageBinary, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		var got []byte
		for {
			kind, part, err := socket.Read(t.Context())
			if err != nil {
				if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
					t.Errorf("it ends with %v", err)
				}
				break
			}
			if kind != websocket.MessageBinary {
				t.Errorf("a message is of type %s", kind)
			}
			got = append(got, part...)
		}
		if string(got) != string(answer) {
			t.Errorf("in pieces of %d the answer is %q", size, got)
		}
	}
}

func TestWebSocket_OfAnotherOriginIsRefused(t *testing.T) {
	r := newRig(t)
	for _, origin := range []string{"http://evil.example", "http://dev.example", "http://dev.example.evil.example:8080", "null"} {
		if _, status, body := r.dialWeb(origin, sessionstream.UpgradeToken); status != http.StatusForbidden {
			t.Errorf("a page of %s gets %d, %s", origin, status, body)
		}
	}
}

func TestWebSocket_IsRefusedAsAnyRequestWhileItIsOne(t *testing.T) {
	for name, c := range map[string]struct {
		subprotocol string
		err         error
		status      int
		code        banger.Code
	}{
		"no subprotocol":      {"", nil, 400, banger.CodeInvalid},
		"another subprotocol": {"chat", nil, 400, banger.CodeInvalid},
		"no session":          {sessionstream.UpgradeToken, banger.Errorf(banger.CodeNotFound, "no such session"), 404, banger.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigOf(t, &servicetest.Fake{Err: c.err})
			_, status, body := r.dialWeb("", c.subprotocol)
			r.wantError(status, body, c.status, c.code, "")
		})
	}
	r := newRig(t)
	status, answer := r.do(http.MethodGet, "/v1/vms/v/sessions/s/attach", "")
	r.wantError(status, answer, http.StatusUpgradeRequired, banger.CodeInvalid, "websocket")
}

func TestWebSocket_OfTextEndsTheStream(t *testing.T) {
	read := make(chan error, 1)
	r := newRigOf(t, &servicetest.Fake{OnAttach: func(conn net.Conn, _ int64) {
		_, err := io.ReadAll(conn)
		read <- err
	}})
	socket := r.mustDialWeb()
	if err := socket.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := socket.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
		t.Errorf("it ends with %v", err)
	}
	if err := <-read; err == nil {
		t.Error("the stream ends as if its client had left")
	}
}

func TestServe_EndsWebSocketsWithTheDaemon(t *testing.T) {
	r := newRig(t)
	socket := r.mustDialWeb()
	if err := socket.Write(t.Context(), websocket.MessageBinary, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, part, err := socket.Read(t.Context()); string(part) != "x" || err != nil {
		t.Fatalf("%q, %v", part, err)
	}
	r.daemon.Stop()
	if _, _, err := socket.Read(t.Context()); err == nil || errors.Is(err, t.Context().Err()) {
		t.Errorf("it ends with %v", err)
	}
}
