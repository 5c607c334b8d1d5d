// Package paths says where an installation of banger keeps what, after the XDG
// Base Directory Specification. Another set of XDG variables is another, fully
// separate installation.
package paths

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/adrg/xdg"

	"banger"
	"banger/internal/localsocket"
)

// Paths are the folders of one installation, all absolute.
type Paths struct {
	Config  string // the user's settings, and the daemon's SSH key
	Data    string // images
	State   string // the store, VMs with their disks, logs
	Runtime string // sockets and locks; gone with the host's boot
}

// FromEnvironment reads the XDG variables. The folders need not exist.
func FromEnvironment() (Paths, error) {
	xdg.Reload()
	p := Paths{
		Config: filepath.Join(xdg.ConfigHome, "banger"),
		Data:   filepath.Join(xdg.DataHome, "banger"),
		State:  filepath.Join(xdg.StateHome, "banger"),
	}
	p.Runtime = runtimeDir(p.State)
	if n := len(p.Socket()); n > localsocket.MaxPath {
		return Paths{}, banger.Errorf(banger.CodeInvalid, "cannot use socket %s: its path has %d bytes and Linux takes %d",
			p.Socket(), n, localsocket.MaxPath).WithHint("set XDG_RUNTIME_DIR to a shorter folder")
	}
	return p, nil
}

// runtimeDir is $XDG_RUNTIME_DIR/banger. Where no login has set that variable,
// as in a cron job or a container, it is the usual folder if it exists, else a
// folder beside the state, so that the place depends on the user alone.
func runtimeDir(state string) string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "banger")
	}
	if info, err := os.Stat(xdg.RuntimeDir); err == nil && info.IsDir() {
		return filepath.Join(xdg.RuntimeDir, "banger")
	}
	return filepath.Join(state, "run")
}

// Create makes the folders, readable by the owner only.
func (p Paths) Create() error {
	for _, dir := range []string{p.Config, p.Data, p.State, p.Runtime, p.Attachments(), p.Images(), p.VMs()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("cannot create folder %s: %w", dir, err)
		}
	}
	info, err := os.Stat(p.Runtime)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return banger.Errorf(banger.CodeInvalid, "cannot use folder %s: others may enter it", p.Runtime).
			WithHint("chmod 700 %s", p.Runtime)
	}
	return nil
}

// Socket is the daemon's API socket.
func (p Paths) Socket() string { return filepath.Join(p.Runtime, "banger.sock") }

// Attachments holds the sockets of attachments that nobody has come to yet.
func (p Paths) Attachments() string { return filepath.Join(p.Runtime, "attach") }

// DaemonLock is held by the running daemon and has its pid; StartLock by whoever starts one.
func (p Paths) DaemonLock() string { return filepath.Join(p.Runtime, "daemon.lock") }

// StartLock serialises those who find no daemon and start one.
func (p Paths) StartLock() string { return filepath.Join(p.Runtime, "start.lock") }

// DaemonLog is where a daemon that the CLI started logs.
func (p Paths) DaemonLog() string { return filepath.Join(p.State, "daemon.log") }

// Database is the store's file.
func (p Paths) Database() string { return filepath.Join(p.State, "banger.db") }

// ClientKey is the private SSH key by which the daemon and the user log in to guests.
func (p Paths) ClientKey() string { return filepath.Join(p.Config, "id_ed25519") }

// Settings is the file with what the user has set; see package config.
func (p Paths) Settings() string { return filepath.Join(p.Config, "config.toml") }

// AgesClock keeps the clock by which ended sessions grow old.
func (p Paths) AgesClock() string { return filepath.Join(p.State, "ages.json") }

// KVMVerdict caches whether KVM boots a guest on this host.
func (p Paths) KVMVerdict() string { return filepath.Join(p.State, "kvm.json") }

// Images holds one folder per image, named by its id.
func (p Paths) Images() string { return filepath.Join(p.Data, "images") }

// Image is the folder of one image.
func (p Paths) Image(id banger.ImageID) string { return filepath.Join(p.Images(), string(id)) }

// Initrds caches the part of an initrd that VMs of one image share.
func (p Paths) Initrds() string { return filepath.Join(p.State, "initrds") }

// VMs holds one folder per VM, named by its id.
func (p Paths) VMs() string { return filepath.Join(p.State, "vms") }

// VM is the folder of one VM: disks, keys, logs.
func (p Paths) VM(id banger.VMID) string { return filepath.Join(p.VMs(), string(id)) }

// VMTrash holds the folders that no VM was known by.
func (p Paths) VMTrash() string { return filepath.Join(p.VMs(), ".trash") }

// VMRuntime is the folder of one VM's sockets.
func (p Paths) VMRuntime(id banger.VMID) string { return filepath.Join(p.Runtime, "vms", string(id)) }
