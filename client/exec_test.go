package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/internal/localsocket"
	"banger/sessionstream"
)

// outcome returns what an attachment receives to its end.
func outcome(t *testing.T, a *sessionstream.Attachment) (stdout string, end *banger.SessionState) {
	t.Helper()
	for {
		m, err := a.Receive()
		if errors.Is(err, io.EOF) {
			return stdout, end
		}
		if err != nil {
			t.Fatal(err)
		}
		if exit, ok := m.Control.(*sessionstream.Exit); ok {
			end = &exit.State
		}
		stdout += string(m.Data)
	}
}

// The daemon here says nothing until it has the whole of the request and of the attach.
func TestExec_IsOneRoundTrip(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() {
		if err := serveExec(listener); err != nil {
			t.Error(err)
		}
	})
	a, err := client.New(socket, "").Exec(t.Context(), "dev", banger.SessionRequest{Launch: banger.Launch{Command: "true"}}, sessionstream.Attach{Role: sessionstream.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if out, end := outcome(t, a); out != "out" || end == nil || a.Attached().SessionID != "x" {
		t.Errorf("it receives %q, %+v, attached %+v", out, end, a.Attached())
	}
}

// serveExec serves one exec.
func serveExec(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	request, err := http.ReadRequest(in)
	if err != nil {
		return err
	}
	var body banger.SessionRequest
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil || body.Command != "true" || request.URL.Path != "/v1/vms/dev/exec" {
		return fmt.Errorf("the request to %s is %+v, %w", request.URL, body, err)
	}
	_, _ = io.Copy(io.Discard, request.Body)
	if c, err := sessionstream.NewReader(in).ReadControl(); err != nil || sessionstream.TypeOf(c) != "attach" {
		return fmt.Errorf("behind it is %+v, %w", c, err)
	}
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: banger-sessionstream\r\nBanger-Version: v1\r\n\r\n")
	w := sessionstream.NewWriter(conn)
	return errors.Join(err, w.WriteControl(&sessionstream.Attached{VMID: "v", SessionID: "x", Output: &banger.LogCursor{}}),
		w.WriteData(sessionstream.ChannelStdout, []byte("out")), w.WriteControl(&sessionstream.Exit{State: banger.SessionState{Status: banger.StatusExited, ExitCode: new(int), EndedBy: banger.EndedByExit}}))
}

// cut is a connection that breaks as soon as there is an answer.
type cut struct{ net.Conn }

func (c cut) Read(p []byte) (int, error) {
	if _, err := c.Conn.Read(p[:1]); err != nil {
		return 0, err
	}
	c.Conn.Close()
	return 0, io.ErrUnexpectedEOF
}

func TestExec_WhoseConnectionBreaksIsOneSession(t *testing.T) {
	h := hosttest.New(t, bin)
	h.StartVM("dev")
	dials := 0
	c := client.New(h.Paths.Socket(), "", client.WithDialer(func(ctx context.Context) (net.Conn, error) {
		conn, err := localsocket.Dial(ctx, h.Paths.Socket())
		if dials++; dials <= 2 && err == nil {
			return cut{conn}, nil
		}
		return conn, err
	}))
	r := banger.SessionRequest{Launch: banger.Launch{Command: "sh", Args: []banger.ByteString{"-c", "echo once; exit 3"}, StdinMode: banger.StdinClosed}}
	a, err := c.Exec(t.Context(), "dev", r, sessionstream.Attach{Role: sessionstream.RoleWriter})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	out, end := outcome(t, a)
	if out != "once\n" || end == nil || end.ExitCode == nil || *end.ExitCode != 3 {
		t.Errorf("it receives %q, %+v", out, end)
	}
	sessions, err := h.Sessions.ListSessions(t.Context(), banger.SessionFilter{})
	if err != nil || len(sessions) != 1 || dials != 3 {
		t.Errorf("%d connections made %d sessions, %v", dials, len(sessions), err)
	}
	if _, err := c.DialExec(t.Context(), "dev", r, nil); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("without an idempotency key: %v", err)
	}
}
