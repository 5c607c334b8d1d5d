// Package paths says where an installation of banger keeps what, after the XDG
// Base Directory Specification. Another set of XDG variables is another, fully
// separate installation.
package paths

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/adrg/xdg"

	"banger"
)

// Paths are the directories of one installation, all absolute.
type Paths struct {
	Config string // the user's settings, and the daemon's SSH key
	Data   string // images and kernels
	State  string // the store, VMs with their disks, logs, sockets and locks
}

// FromEnvironment reads the XDG variables. The directories need not exist.
func FromEnvironment() Paths {
	xdg.Reload()
	return Paths{
		Config: filepath.Join(xdg.ConfigHome, "banger"),
		Data:   filepath.Join(xdg.DataHome, "banger"),
		State:  filepath.Join(xdg.StateHome, "banger"),
	}
}

// Usual reports whether the directories are those of a user who has set no XDG variable,
// in the home that the user database has.
func (p Paths) Usual() bool {
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	return err == nil && u.HomeDir != "" &&
		p.Config == filepath.Join(u.HomeDir, ".config", "banger") &&
		p.Data == filepath.Join(u.HomeDir, ".local", "share", "banger") &&
		p.State == filepath.Join(u.HomeDir, ".local", "state", "banger")
}

// Create makes the directories, readable by the owner only, unless they belong to another
// user.
func (p Paths) Create() error {
	if err := p.CheckOwner(); err != nil {
		return err
	}
	for _, dir := range []string{p.Config, p.Data, p.State, p.Run(), p.Images(), p.VMs()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("cannot create directory %s: %w", dir, err)
		}
	}
	info, err := os.Lstat(p.Run())
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return banger.Errorf(banger.CodeInvalid, "cannot use %s: it is not a directory", p.Run()).WithHint("remove it")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return banger.Errorf(banger.CodeInvalid, "cannot use directory %s: others may enter it", p.Run()).
			WithHint("chmod 700 %s", p.Run())
	}
	return nil
}

// CheckOwner refuses the installation of another user, with CodeInvalid: su and sudo -E
// keep variables that lead to one. What root made there its owner could not use.
func (p Paths) CheckOwner() error {
	for _, dir := range []string{p.Config, p.State, p.Run()} {
		if err := checkOwner(dir, uint32(os.Geteuid())); err != nil {
			return err
		}
	}
	return nil
}

// checkOwner judges a directory, or if that is not there, the one in which it would be
// made: that is the user's, or at least no other's home to root.
func checkOwner(dir string, uid uint32) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot look at directory %s: %w", at, err)
		}
		owner := info.Sys().(*syscall.Stat_t).Uid
		foreign := owner != uid && (at == dir || uid == 0)
		if foreign {
			return banger.Errorf(banger.CodeInvalid, "cannot use %s: %s belongs to user %d, and this is user %d", dir, at, owner, uid).
				WithHint("run banger as its owner, or set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME, to directories of your own")
		}
		return nil
	}
}

// Run holds what only a running daemon has: its socket. It lies with the state, so that
// whoever finds the one finds the other, and no logout removes it.
func (p Paths) Run() string { return filepath.Join(p.State, "run") }

// Socket is the daemon's API socket.
func (p Paths) Socket() string { return filepath.Join(p.Run(), "banger.sock") }

// DaemonLock is held by the running daemon and has its pid; see package filelock.
func (p Paths) DaemonLock() string { return filepath.Join(p.State, "daemon.lock") }

// Claim says which host the state is of; see package hostid.
func (p Paths) Claim() string { return filepath.Join(p.State, "host.json") }

// StartLock serialises those who find no daemon and start one.
func (p Paths) StartLock() string { return filepath.Join(p.State, "start.lock") }

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

// Images holds one directory per image, named by its id.
func (p Paths) Images() string { return filepath.Join(p.Data, "images") }

// Image is the directory of one image.
func (p Paths) Image(id banger.ImageID) string { return filepath.Join(p.Images(), string(id)) }

// Initrds caches the part of an initrd that VMs of one kernel share.
func (p Paths) Initrds() string { return filepath.Join(p.State, "initrds") }

// VMs holds one directory per VM, named by its id.
func (p Paths) VMs() string { return filepath.Join(p.State, "vms") }

// VM is the directory of one VM: disks, keys, logs.
func (p Paths) VM(id banger.VMID) string { return filepath.Join(p.VMs(), string(id)) }

// VMTrash holds the directories that no VM was known by.
func (p Paths) VMTrash() string { return filepath.Join(p.VMs(), ".trash") }
