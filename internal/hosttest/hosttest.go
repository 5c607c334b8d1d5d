// Package hosttest gives tests the whole host side of banger in one process,
// with guests that need no virtual machine: the real store, services and links,
// and behind them the agent's real SSH server, control process and shims.
package hosttest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/client"
	"banger/internal/config"
	"banger/internal/daemon"
	"banger/internal/guestconfig"
	"banger/internal/machine"
	"banger/internal/machine/inmem"
	"banger/internal/paths"
	"banger/internal/records"
	"banger/internal/session"
	"banger/internal/store"
	"banger/internal/version"
	"banger/internal/vmm"
)

// Host is one installation. Its services are those of the running daemon;
// Restart replaces them.
type Host struct {
	Store     *store.Store
	Sessions  *session.Sessions
	Streams   *session.Streams
	Control   *session.Control
	VMs       *machine.VMs
	Remotes   *machine.Remotes
	Trash     *machine.Trash
	WorkDisks *machine.DiskReader
	Driver    *inmem.Driver
	Paths     paths.Paths

	t      testing.TB
	wrap   func(*inmem.Driver) vmm.Driver
	disks  machine.Disks
	remote vmm.Driver // nil: no remote hosts
	keep   banger.Retention
	home   string // of the daemon's user, for remote hosts
	guests *Guests
	signer ssh.Signer
	log    *slog.Logger
	server *server
}

// Options change what a host is made of. The zero value changes nothing.
type Options struct {
	// Guest changes what runs in the machines.
	Guest func(*inmem.Guest)
	// Driver returns what the VM service gets instead of the driver.
	Driver func(*inmem.Driver) vmm.Driver
	// Disks returns what the VM service gets instead of the disks, of which only the
	// guests' directories are real.
	Disks func(machine.Disks) machine.Disks
	// State, if not empty, is where the daemon's state lies.
	State string
	// Home, if not empty, is the home of the daemon's user, for remote hosts.
	Home string
	// Retention says which ended sessions are removed; the zero value removes none.
	Retention banger.Retention
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
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{
		t: t, wrap: o.Driver, keep: o.Retention, signer: signer, log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Paths: paths.Paths{
			Config: filepath.Join(dir, "config"), Data: filepath.Join(dir, "data"),
			State: filepath.Join(dir, "state"),
		},
		guests: NewGuests(t, bin, filepath.Join(dir, "guests"), signer.PublicKey()),
	}
	if o.State != "" {
		h.Paths.State = o.State
	}
	if err := h.Paths.Create(); err != nil {
		t.Fatal(err)
	}
	h.writeClientKey(private)
	h.Driver = h.guests.driver(o.Guest)
	if h.disks = (disks{h.guests.dir}); o.Disks != nil {
		h.disks = o.Disks(h.disks)
	}
	if h.home = o.Home; o.Home != "" {
		h.remote = RemoteDriver(bin, o.Home)
	}
	h.open()
	t.Cleanup(h.close)
	return h
}

// writeClientKey writes the key by which the daemon logs in where the user's ssh finds it.
func (h *Host) writeClientKey(private ed25519.PrivateKey) {
	h.t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.Paths.ClientKey(), pem.EncodeToMemory(block), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// open starts the daemon's part.
func (h *Host) open() {
	h.t.Helper()
	var driver vmm.Driver = h.Driver
	if h.wrap != nil {
		driver = h.wrap(h.Driver)
	}
	all := []vmm.Driver{driver}
	if h.remote != nil {
		all = append(all, h.remote)
	}
	drivers, err := vmm.NewDrivers(all...)
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := serve(context.Background(), daemon.Parts{
		Paths: h.Paths, Settings: config.Config{Retention: h.keep}, Drivers: drivers, Disks: h.disks, Signer: h.signer, Log: h.log,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.server, h.Store = s, s.Store
	h.VMs, h.Remotes, h.Trash, h.WorkDisks = s.VMs.VMs, s.VMs.Remotes, s.VMs.Trash, s.VMs.Disks
	h.Sessions, h.Control, h.Streams = s.Sessions.Sessions, s.Sessions.Control, s.Streams
}

// Client returns a client of the API, which is served but for the host.
func (h *Host) Client() *client.Client { return client.New(h.Paths.Socket(), version.String()) }

// shut ends the daemon's part, if there is one: there is none if the last start failed.
func (h *Host) shut() {
	if h.server == nil {
		return
	}
	if err := h.server.stop(); err != nil {
		h.t.Errorf("cannot close host: %v", err)
	}
	h.server = nil
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
	h.guests.killAll()
}

// Restart ends the daemon's part and begins it again, as an upgrade does.
func (h *Host) Restart() {
	h.t.Helper()
	h.RestartAfter(func() {})
}

// RestartAfter is Restart, with what happens while there is no daemon.
func (h *Host) RestartAfter(meanwhile func()) {
	h.t.Helper()
	h.shut()
	meanwhile()
	h.Driver = h.Driver.Another()
	h.open()
}

// RestartAfterCrash is Restart after a machine has ended while no daemon ran.
func (h *Host) RestartAfterCrash(id banger.VMID) {
	h.t.Helper()
	h.shut()
	h.Driver.Crash(id)
	h.Driver = h.Driver.Another()
	h.open()
}

// Upgrade is Restart by a daemon whose programs for remote hosts are others.
func (h *Host) Upgrade(bin Binaries) {
	h.t.Helper()
	h.remote = RemoteDriver(bin, h.home)
	h.Restart()
}

// Cut breaks every connection to a guest.
func (h *Host) Cut() { h.guests.Cut() }

// SessionsDir is where the sessions of a VM lie.
func (h *Host) SessionsDir(id banger.VMID) string { return h.guests.SessionsDir(id) }

// WaitRecorded waits until the guest has recorded the end of a session on its disk.
func (h *Host) WaitRecorded(x banger.Session) {
	h.t.Helper()
	h.guests.waitRecorded(x)
}

// PowerOff ends a VM's machine with everything that runs in its guest.
func (h *Host) PowerOff(id banger.VMID) {
	h.t.Helper()
	h.Driver.Crash(id)
	h.guests.Kill(id)
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

// The adapters below stand for what an in-memory machine does not use.
type (
	images  struct{}
	disks   struct{ sessionsDir string } // holds the directories of all VMs
	initrds struct{}
)

// image is the only one.
var image = banger.Image{ID: "none", Name: banger.DefaultImageName}

func (images) GetImage(_ context.Context, ref string) (banger.Image, error) {
	return records.Resolve("image", ref, []banger.Image{image})
}

func (images) Files(context.Context, banger.ImageID) (machine.ImageFiles, error) {
	return machine.ImageFiles{Kernel: machine.KernelFiles{Kernel: "of the image"}}, nil
}

func (images) Use(banger.ImageID, string) error { return nil }

// ReadDisk shows the sessions of the VM whose disk it is where they are on a disk.
func (d disks) ReadDisk(_ context.Context, path string, f func(fs.FS) error) error {
	sessions := filepath.Join(d.sessionsDir, filepath.Base(filepath.Dir(path)))
	return f(diskFS{os.DirFS(sessions), guestconfig.SessionsOnDisk})
}

// ReadImage fails: the image has no file systems.
func (disks) ReadImage(_ context.Context, path string, _ func(fs.FS) error) error {
	return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// diskFS has a file system in one directory.
type diskFS struct {
	fs.FS
	at string
}

// Open implements fs.FS.
func (d diskFS) Open(name string) (fs.File, error) {
	if name == d.at {
		return d.FS.Open(".")
	}
	inside, ok := strings.CutPrefix(name, d.at+"/")
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return d.FS.Open(inside)
}

func (disks) NewDisk(_ context.Context, path string, _ int, _ string) error {
	return os.WriteFile(path, nil, 0o600)
}

func (initrds) WriteVM(_ context.Context, path string, _ machine.KernelFiles, _ guestconfig.Config) error {
	return os.WriteFile(path, nil, 0o600)
}
