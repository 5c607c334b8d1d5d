package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"banger"
	"banger/internal/hosttest"
	"banger/internal/localsocket"
	"banger/sessionstream"
)

// dialWeb opens a stream as a WebSocket.
func dialWeb(ctx context.Context, h *hosttest.Host, session string) (net.Conn, error) {
	api := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return localsocket.Dial(ctx, h.Paths.Socket())
	}}}
	socket, answer, err := websocket.Dial(ctx, "ws://banger/v1/vms/"+vmName+"/sessions/"+session+"/attach",
		&websocket.DialOptions{HTTPClient: api, Subprotocols: []string{sessionstream.UpgradeToken}})
	if answer != nil && answer.Body != nil {
		defer answer.Body.Close()
	}
	if err != nil {
		return nil, banger.Errorf(banger.CodeUnavailable, "%w", err)
	}
	return websocket.NetConn(ctx, socket, websocket.MessageBinary), nil
}

// A client with WebSockets outlives its daemon, too: it feeds and reads each byte once.
func TestAttach_AsAWebSocketOutlivesTheDaemon(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "cat"))
	a, err := sessionstream.Open(t.Context(), sessionstream.Config{
		Dial:   func(ctx context.Context) (net.Conn, error) { return dialWeb(ctx, h, "s") },
		Attach: sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: string(banger.NewSessionID()), From: &banger.LogCursor{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var want, got bytes.Buffer
	for n := range 5 {
		line := fmt.Sprintln("line", n)
		want.WriteString(line)
		if _, err := io.WriteString(a, line); err != nil {
			t.Fatal(err)
		}
		if n%2 == 1 {
			h.Restart()
		}
		for got.Len() < want.Len() {
			m, err := a.Receive()
			if err != nil {
				t.Fatalf("behind %q: %v", got.String(), err)
			}
			got.Write(m.Data)
		}
	}
	if err := a.CloseStdin(); err != nil {
		t.Fatal(err)
	}
	var end *sessionstream.Exit
	for {
		m, err := a.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got.Write(m.Data)
		if exit, ok := m.Control.(*sessionstream.Exit); ok {
			end = exit
		}
	}
	if got.String() != want.String() || end == nil || end.State.ExitCode == nil || *end.State.ExitCode != 0 {
		t.Errorf("it reads %q, and then %+v", got.String(), end)
	}
}
