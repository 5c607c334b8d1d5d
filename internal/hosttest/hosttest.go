// Package hosttest gives tests the whole host side of banger in one process,
// with guests that need no virtual machine: the real store, services and links,
// and behind them the agent's real SSH server, control process and shims.
package hosttest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"banger"
	"banger/client"
	"banger/internal/guest"
	"banger/internal/guestconfig"
	"banger/internal/httpapi"
	"banger/internal/localsocket"
	"banger/internal/machine"
	"banger/internal/machine/inmem"
	"banger/internal/paths"
	"banger/internal/session"
	"banger/internal/store"
	"banger/internal/version"
)

// Host is one installation. Its services are those of the running daemon;
// Restart replaces them.
type Host struct {
	Store    *store.Store
	Sessions *session.Service
	VMs      *machine.Service
	Driver   *inmem.Driver
	Paths    paths.Paths

	t      testing.TB
	wrap   func(banger.Driver) banger.Driver
	guests *guests
	signer ssh.Signer
	log    *slog.Logger
	cancel context.CancelFunc
	served chan error // result of serving the API
}

// Options change what a host is made of. The zero value changes nothing.
type Options struct {
	// Guest changes what runs in the machines.
	Guest func(*inmem.Guest)
	// Driver returns what the VM service gets instead of the driver.
	Driver func(banger.Driver) banger.Driver
}

// New makes a host that is closed when the test ends.
func New(t testing.TB, bin Binaries) *Host {
	t.Helper()
	return NewWith(t, bin, Options{})
}

// NewWith is New with options.
func NewWith(t testing.TB, bin Binaries, o Options) *Host {
	t.Helper()
	dir := t.TempDir()
	runtime, err := os.MkdirTemp("", "b-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{
		t: t, wrap: o.Driver, signer: signer, log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Paths: paths.Paths{
			Config: filepath.Join(dir, "config"), Data: filepath.Join(dir, "data"),
			State: filepath.Join(dir, "state"), Runtime: runtime,
		},
		guests: &guests{
			t: t, bin: bin, dir: filepath.Join(dir, "guests"), client: signer.PublicKey(),
			conns: map[net.Conn]struct{}{},
		},
	}
	if err := h.Paths.Create(); err != nil {
		t.Fatal(err)
	}
	h.Driver = h.guests.driver(o.Guest)
	h.open()
	t.Cleanup(h.close)
	return h
}

// open does what a daemon does when it starts.
func (h *Host) open() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	var err error
	if h.Store, err = store.Open(ctx, h.Paths.Database()); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.Store.PutImage(ctx, image); err != nil {
		h.t.Fatal(err)
	}
	var driver banger.Driver = h.Driver
	if h.wrap != nil {
		driver = h.wrap(driver)
	}
	links := guest.NewLinks(h.signer, h.log)
	h.Sessions = session.New(ctx, h.Store, links, h.Paths.Attachments(), h.log)
	h.VMs = machine.New(ctx, machine.Config{
		Store: h.Store, Images: images{}, Disks: disks{}, Initrds: initrds{}, Driver: driver, Links: links,
		Sessions: h.Sessions, Paths: h.Paths, ClientKey: string(ssh.MarshalAuthorizedKey(h.signer.PublicKey())), Log: h.log,
	})
	if err := h.VMs.Adopt(ctx); err != nil {
		h.t.Fatal(err)
	}
	listener, err := localsocket.Listen(h.Paths.Socket())
	if err != nil {
		h.t.Fatal(err)
	}
	api := httpapi.New(httpapi.Services{VMs: h.VMs, Sessions: h.Sessions, Streams: h.Sessions, Control: h.Sessions, Events: h.Store}, version.String())
	h.served = make(chan error, 1)
	go func() { h.served <- httpapi.Serve(ctx, listener, api, h.log) }()
}

// Client returns a client of the API, which is served but for images and the host.
func (h *Host) Client() *client.Client { return client.New(h.Paths.Socket(), version.String()) }

// shut does what a daemon does when it ends.
func (h *Host) shut() {
	h.cancel()
	if err := errors.Join(<-h.served, h.VMs.Close(), h.Sessions.Close(), h.Store.Close()); err != nil {
		h.t.Errorf("cannot close host: %v", err)
	}
}

// close ends what runs in the guests too.
func (h *Host) close() {
	vms, err := h.VMs.ListVMs(context.Background())
	if err != nil {
		h.t.Error(err)
	}
	h.shut()
	for _, vm := range vms {
		h.PowerOff(vm.ID)
	}
}

// Restart ends the daemon's part and begins it anew, as an upgrade does.
func (h *Host) Restart() {
	h.t.Helper()
	h.shut()
	h.Driver = h.Driver.Another()
	h.open()
}

// Cut breaks every connection to a guest.
func (h *Host) Cut() { h.guests.cut() }

// WaitRecorded waits until the guest has recorded the end of a session on its disk.
func (h *Host) WaitRecorded(x banger.Session) {
	h.t.Helper()
	h.guests.waitRecorded(x)
}

// PowerOff ends a VM's machine with everything that runs in its guest.
func (h *Host) PowerOff(id banger.VMID) {
	h.t.Helper()
	h.Driver.Crash(id)
	h.killGuest(id)
}

// StartVM makes and starts a VM.
func (h *Host) StartVM(name string) banger.VM {
	h.t.Helper()
	if _, err := h.VMs.CreateVM(h.t.Context(), banger.VMRequest{Name: name}); err != nil {
		h.t.Fatal(err)
	}
	vm, err := h.VMs.StartVM(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return vm
}

// killGuest kills the shims of a VM's sessions, and with them their commands. A
// shim has its session's directory open as its working directory or lock.
func (h *Host) killGuest(id banger.VMID) {
	h.t.Helper()
	dir := h.guests.sessionsDir(id) + "/"
	for _, pid := range shimsUnder(h.guests.bin.Shim, dir) {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		_ = unix.Close(fd)
	}
}

// shimsUnder returns the pids of the shims that have a file below dir open.
func shimsUnder(shim, dir string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		proc := filepath.Join("/proc", e.Name())
		if exe, err := os.Readlink(filepath.Join(proc, "exe")); err != nil || exe != shim {
			continue
		}
		fds, _ := os.ReadDir(filepath.Join(proc, "fd"))
		for _, fd := range fds {
			target, err := os.Readlink(filepath.Join(proc, "fd", fd.Name()))
			if err == nil && len(target) > len(dir) && target[:len(dir)] == dir {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// The adapters below stand for what an in-memory machine does not use.
type (
	images  struct{}
	disks   struct{}
	initrds struct{}
)

// image is the only one.
var image = banger.Image{ID: "none", Name: banger.DefaultImageName}

func (images) GetImage(_ context.Context, ref string) (banger.Image, error) {
	return banger.Resolve("image", ref, []banger.Image{image})
}

func (images) Files(_ context.Context, id banger.ImageID) (machine.ImageFiles, error) {
	return machine.ImageFiles{ID: id}, nil
}

func (disks) NewDisk(_ context.Context, path string, _ int, _ string) error {
	return os.WriteFile(path, nil, 0o600)
}

func (initrds) WriteVM(_ context.Context, path string, _ machine.ImageFiles, _ guestconfig.Config) error {
	return os.WriteFile(path, nil, 0o600)
}
