package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/internal/httpapi/httpapitest"
	"banger/internal/servicetest"
)

// bin holds the guest's programs; TestMain sets it once.
var bin hosttest.Binaries

func TestMain(m *testing.M) {
	os.Exit(hosttest.Main(m, func(b hosttest.Binaries) { bin = b }))
}

// daemonWithVM runs a daemon with a VM, until stop is called. It is real but for the
// machine: the guest's programs run on this host.
func daemonWithVM(name string) (socket string, stop func()) {
	h, closeHost := hosttest.NewForExample(bin)
	h.StartVM(name)
	return h.Paths.Socket(), closeHost
}

const version = "v1.2.3"

// rig is a client and the daemon that it speaks to.
type rig struct {
	*client.Client
	socket string
	daemon *httpapitest.Daemon
}

func newRig(t *testing.T, fake *servicetest.Fake) *rig {
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
