package fault

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/internal/paths"
	"banger/internal/version"
	"banger/internal/vmm"
)

// loopback is the place that is this host. Its daemon is a process of this binary.
type loopback struct {
	daemon
	guests  *hosttest.Guests
	address string // of the guest's SSH server

	vmMu sync.Mutex // guards vm
	vm   banger.VMID
}

// guestsName is the directory of the guests' sessions.
const guestsName = "guests"

func newLoopback(t *testing.T) *loopback {
	t.Helper()
	return newLoopbackOn(t, func(string) {})
}

// newLoopbackOn makes one whose guest's work disk mount may mount at a directory.
func newLoopbackOn(t *testing.T, mount func(dir string)) *loopback {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	l := &loopback{daemon: daemon{t: t, dir: dir}}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(pathsIn(dir).Create(), os.Mkdir(filepath.Join(dir, guestsName), 0o700)); err != nil {
		t.Fatal(err)
	}
	mount(filepath.Join(dir, guestsName))
	agent, shim := filepath.Join(string(bin), "banger-agent"), filepath.Join(string(bin), "banger-shim")
	l.guests = hosttest.NewGuests(t, hosttest.Binaries{Agent: agent, Shim: shim}, filepath.Join(dir, guestsName), writeKey(t, pathsIn(dir).ClientKey()))
	l.serveGuest()
	l.role = []string{"daemon", l.address, filepath.Join(dir, guestsName)}
	l.start()
	t.Cleanup(l.close)
	c := client.New(l.socket(), version.String())
	vm, err := c.CreateVM(t.Context(), banger.VMRequest{Name: "v"})
	if err != nil {
		t.Fatal(err)
	}
	l.vmMu.Lock()
	l.vm = vm.ID // its guest can be served from now on
	l.vmMu.Unlock()
	if _, err := c.StartVM(t.Context(), string(vm.ID)); err != nil {
		t.Fatal(err)
	}
	return l
}

// pathsIn are those of an installation that lies in one directory, as environment says.
func pathsIn(dir string) paths.Paths {
	in := func(kind string) string { return filepath.Join(dir, kind, "banger") }
	return paths.Paths{Config: in("config"), Data: in("data"), State: in("state")}
}

// environment is that of the real banger command.
func (l *loopback) environment() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8", "GORACE=atexit_sleep_ms=0"}
	for variable, kind := range map[string]string{
		"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state",
	} {
		env = append(env, variable+"="+filepath.Join(l.dir, kind))
	}
	return env
}

// writeKey makes the daemon's SSH key.
func writeKey(t *testing.T, path string) ssh.PublicKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err == nil {
		err = os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
	}
	signer, signerErr := ssh.NewSignerFromSigner(private)
	if err != nil || signerErr != nil {
		t.Fatal(err, signerErr)
	}
	return signer.PublicKey()
}

// serveGuest serves the guest's SSH server until the test ends.
func (l *loopback) serveGuest() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.address = listener.Addr().String()
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			vm := l.vmID()
			conns.Go(func() { l.guests.Serve(vmm.MachineSpec{VMID: vm, StateDir: pathsIn(l.dir).VM(vm)}, conn) })
		}
	})
	l.t.Cleanup(func() {
		listener.Close()
		l.guests.Cut()
		conns.Wait()
	})
}

func (l *loopback) vmID() banger.VMID {
	l.vmMu.Lock()
	defer l.vmMu.Unlock()
	return l.vm
}

// close ends everything that was started.
func (l *loopback) close() {
	l.daemon.close()
	l.guests.Kill(l.vmID())
}

func (l *loopback) program() string { return workloadProgram(l.t) }

func (l *loopback) cut() { l.guests.Cut() }

func (l *loopback) killControl() { l.guests.KillControl(l.vmID()) }

func (l *loopback) shimPID(x banger.Session) int { return parentOf(l.t, x.GuestPID) }

func parentOf(t *testing.T, pid int) int {
	parent, err := strconv.Atoi(processStat(t, pid)[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}
