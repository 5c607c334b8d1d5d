package fault

import (
	"os"
	"path/filepath"
	"testing"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/internal/version"
)

// remoteHost is the place that is somebody else's: a real SSH server, to which the
// daemon brings the agent. The daemon is a process of this binary.
type remoteHost struct {
	daemon
	server *hosttest.SSHServer
}

// guestPrograms are those in a directory of binaries.
func guestPrograms(dir string) hosttest.Binaries {
	return hosttest.Binaries{Agent: filepath.Join(dir, "banger-agent"), Shim: filepath.Join(dir, "banger-shim")}
}

func newRemoteHost(t *testing.T, o hosttest.SSHOptions) *remoteHost {
	t.Helper()
	h := &remoteHost{server: hosttest.NewSSHServer(t, o)}
	dir, err := os.MkdirTemp("", "b-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h.daemon = daemon{t: t, dir: dir, role: []string{"remote-daemon", string(bin), dir}}
	if err := pathsIn(dir).Create(); err != nil {
		t.Fatal(err)
	}
	writeKey(t, pathsIn(dir).ClientKey())
	home := hosttest.NewSSHHome(t, dir, h.server)
	h.start()
	t.Cleanup(h.close)
	// It is for the host's user to execute.
	if err := copyFile(h.program(), workloadProgram(t), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = client.New(h.socket(), version.String()).AddRemote(t.Context(), banger.RemoteRequest{Name: "v", SSH: home})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func copyFile(to, from string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, mode)
}

func (h *remoteHost) program() string { return filepath.Join(h.server.Dir, "program") }

func (h *remoteHost) cut() { h.server.Cut() }

func (h *remoteHost) killControl() { h.server.KillProcesses("--announce") }

func (h *remoteHost) shimPID(x banger.Session) int { return parentOf(h.t, x.GuestPID) }

// At full size here rather than in an emulated guest, which is many times slower.
func TestFault_AttachmentsKeepTheirPromisesOnARemoteHost(t *testing.T) {
	r := onAHost(t, hosttest.SSHOptions{})
	t.Run("torn cable", func(t *testing.T) { tearCable(r.in(t), int64(sized(8<<20, 1<<30)), sized(15, 1000)) })
	t.Run("torn keyboard", func(t *testing.T) { tearKeyboard(r.in(t), sized(1000, 10_000), sized(15, 450)) })
	t.Run("fenced writer", func(t *testing.T) { fenceWriters(r.in(t), 6, 60, 512<<10) })
	t.Run("no exit is lost", func(t *testing.T) { loseNoExit(r.in(t), sized(5, 100)) })
}
