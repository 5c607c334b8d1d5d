package client_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"banger"
	"banger/client"
	"banger/internal/httpapi/httpapitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const version = "v1.2.3"

// rig is a client and the daemon that it speaks to.
type rig struct {
	*client.Client
	socket string
	daemon *httpapitest.Daemon
}

func newRig(t *testing.T, fake *httpapitest.Fake) *rig {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	r := &rig{socket: socket, Client: client.New(socket, version), daemon: httpapitest.NewDaemon(t, socket, version)}
	r.daemon.Start(fake)
	return r
}

func wantCode(t *testing.T, err error, code banger.Code) {
	t.Helper()
	if banger.CodeOf(err) != code {
		t.Fatalf("error %v has code %q, want %q", err, banger.CodeOf(err), code)
	}
}
