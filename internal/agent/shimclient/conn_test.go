package shimclient

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/sessiondir"
	"banger/sessionstream"
)

// shimOf serves one connection as the shim of a build does, and returns the session's
// directory and what it was ordered.
func shimOf(t *testing.T, revision int) (dir string, ordered <-chan sessionstream.Control) {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, sessiondir.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	orders, done := make(chan sessionstream.Control, 8), make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done; os.RemoveAll(dir) })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r, w := sessionstream.NewReader(conn), sessionstream.NewWriter(conn)
		for {
			m, err := r.ReadControl()
			if err != nil {
				return
			}
			switch m.(type) {
			case *sessionstream.Attach:
				err = w.WriteControl(&sessionstream.Attached{State: banger.SessionState{Status: banger.StatusRunning}, Revision: revision})
			case *sessionstream.Signal:
				orders <- m
				err = w.WriteControl(&sessionstream.Signalled{})
			case *sessionstream.Ping:
				err = w.WriteControl(&sessionstream.Pong{})
			default:
				orders <- m
			}
			if err != nil {
				return
			}
		}
	}()
	return dir, orders
}

// A shim may be of a build before ours: it would end the connection for what it does
// not know.
func TestStop_OfAnOlderShimSaysOnlyWhatItKnows(t *testing.T) {
	for revision, want := range map[int]string{0: "", 1: "", sessionstream.Revision: "me"} {
		dir, ordered := shimOf(t, revision)
		if err := Stop(t.Context(), dir, banger.StopRequest{Grace: time.Second, By: "me"}); err != nil {
			t.Fatal(err)
		}
		if stop, ok := (<-ordered).(*sessionstream.Stop); !ok || stop.Grace() != time.Second || stop.By != want {
			t.Errorf("a shim of revision %d is ordered %+v", revision, stop)
		}
	}
}

func TestSignal_OfAnOlderShimIsRefusedWithTheNextStep(t *testing.T) {
	dir, _ := shimOf(t, 0)
	err := Signal(t.Context(), dir, guestapi.GuestSignal{Signal: "SIGHUP", ID: "x"})
	if e, ok := errors.AsType[*banger.Error](err); !ok || e.Code != banger.CodeMismatch || e.Hint == "" {
		t.Errorf("%v", err)
	}
	dir, ordered := shimOf(t, sessionstream.Revision)
	if err := Signal(t.Context(), dir, guestapi.GuestSignal{Signal: "SIGHUP", ID: "x"}); err != nil {
		t.Fatal(err)
	}
	if s, ok := (<-ordered).(*sessionstream.Signal); !ok || s.ID != "x" {
		t.Errorf("%+v", s)
	}
}
