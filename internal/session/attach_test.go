package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"banger"
	"banger/internal/hosttest"
	"banger/sessionstream"
)

// startAttached starts a session, attaches to it before it runs, and returns what it
// writes and how it ends.
func startAttached(t *testing.T, h *hosttest.Host, r banger.SessionRequest) (stdout string, end banger.SessionState, err error) {
	t.Helper()
	r.NoWait = true
	x, err := h.Sessions.StartSession(t.Context(), vmName, r)
	if err != nil {
		return "", end, err
	}
	if x.Status != banger.StatusStarting {
		return "", end, fmt.Errorf("it was waited for: %+v", x.SessionState)
	}
	id := string(banger.NewSessionID())
	a, err := sessionstream.Open(t.Context(), sessionstream.Config{
		Dial:   func(ctx context.Context) (net.Conn, error) { return h.Client().DialSession(ctx, vmName, r.Name) },
		Attach: sessionstream.Attach{Role: sessionstream.RoleViewer, AttachID: id, From: &banger.LogCursor{}},
	})
	if err != nil {
		return "", end, err
	}
	defer a.Close()
	var out bytes.Buffer
	for {
		m, err := a.Receive()
		if errors.Is(err, io.EOF) {
			return out.String(), end, nil
		}
		if err != nil {
			return "", end, err
		}
		if exit, ok := m.Control.(*sessionstream.Exit); ok {
			end = exit.State
		}
		out.Write(m.Data)
	}
}

func TestAttach_ToALaunchThatFailsHasItsEnd(t *testing.T) {
	h := newHost(t)
	r := shell("s", "")
	r.Command = "/no/such/command"
	for _, name := range []string{"s", "t"} {
		r.Name = name
		got, end, err := startAttached(t, h, r)
		if err != nil || got != "" || end.EndedBy != banger.EndedByLaunch || end.LaunchStage != banger.StagePreflightCommand || end.LaunchMessage == "" {
			t.Errorf("%q, %v, %+v", got, err, end)
		}
	}
	id := string(banger.NewSessionID())
	a, err := sessionstream.Open(t.Context(), sessionstream.Config{
		Dial:   func(ctx context.Context) (net.Conn, error) { return h.Client().DialSession(ctx, vmName, "s") },
		Attach: sessionstream.Attach{Role: sessionstream.RoleViewer, AttachID: id},
	})
	if err != nil {
		t.Fatalf("to one that failed long ago: %v", err)
	}
	defer a.Close()
	m, err := a.Receive()
	if exit, ok := m.Control.(*sessionstream.Exit); !ok || exit.State.EndedBy != banger.EndedByLaunch {
		t.Errorf("to one that failed long ago: %+v, %v", m, err)
	}
}

// receiveUntil returns what an attachment receives up to a text, or to its end.
func receiveUntil(t *testing.T, a *sessionstream.Attachment, text string) string {
	t.Helper()
	var out strings.Builder
	for text == "" || !strings.Contains(out.String(), text) {
		m, err := a.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		out.Write(m.Data)
	}
	return out.String()
}

func TestSession_IsAttachedToAsItsRecordSays(t *testing.T) {
	h := newHost(t)
	for mode, tty := range map[string]bool{"pipe": false, "tty": true} {
		r := shell(mode, "echo begun; read line; echo got $line")
		r.TTY = tty
		x := start(t, h, r)
		attach := sessionstream.Attach{Role: sessionstream.RoleWriter, From: &banger.LogCursor{}}
		a, err := h.Client().Attach(t.Context(), vmName, mode, attach)
		if err != nil {
			t.Fatal(err)
		}
		if x.AttachMode != mode || (a.Attached().Terminal != nil) != tty || x.AttachBackend != "shim" || x.Backend != "ssh" {
			t.Errorf("%s: its record says %+v, its attachment %+v", mode, x, a.Attached())
		}
		receiveUntil(t, a, "begun")
		h.Restart()
		if _, err := a.Write([]byte("it\n")); err != nil {
			t.Error(err)
		}
		if out := receiveUntil(t, a, ""); !x.Reattachable || !strings.Contains(out, "got it") {
			t.Errorf("%s: reattachable is %v, and the next daemon's attachment has %q", mode, x.Reattachable, out)
		}
		a.Close()

		ended := wait(t, h, mode)
		attach.Role = sessionstream.RoleViewer
		if a, err = h.Client().Attach(t.Context(), vmName, mode, attach); err != nil {
			t.Fatal(err)
		}
		if out := receiveUntil(t, a, ""); !ended.Attachable || !strings.Contains(out, "begun") || !strings.Contains(out, "got it") {
			t.Errorf("%s: attachable is %v, and its attachment has %q", mode, ended.Attachable, out)
		}
		a.Close()
	}
}
