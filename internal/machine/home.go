package machine

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/files"
	"banger/internal/paths"
)

// The files of a VM in its directory, beside what its driver keeps there.
const (
	systemDiskName = "system.img"
	workDiskName   = "work.img"
	hostKeyName    = "ssh_host_ed25519_key"
	knownHostsName = "known_hosts"
	initrdName     = "initrd"
)

// homes are the directories of VMs.
type homes struct{ paths paths.Paths }

func (h *homes) dir(id banger.VMID) string { return h.paths.VM(id) }

// remove removes everything of a VM that lies on the host, all or, should the
// process die meanwhile, what is left of it at the next start.
func (h *homes) remove(id banger.VMID) error {
	return errors.Join(h.beginDeletion(id), h.endDeletion(id))
}

// deletedPrefix begins the name of the directory of a VM that is being deleted.
const deletedPrefix = ".deleted-"

func (h *homes) deletedDir(id banger.VMID) string {
	return filepath.Join(h.paths.VMs(), deletedPrefix+string(id))
}

// beginDeletion takes its name from the directory of a VM, by which the VM would be
// known again.
func (h *homes) beginDeletion(id banger.VMID) error {
	err := os.Rename(h.dir(id), h.deletedDir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return files.SyncDir(h.paths.VMs())
}

// undoDeletion gives the directory its name again.
func (h *homes) undoDeletion(id banger.VMID) error {
	err := os.Rename(h.deletedDir(id), h.dir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (h *homes) endDeletion(id banger.VMID) error {
	return os.RemoveAll(h.deletedDir(id))
}

// checkParts looks whether a VM of ours has what it cannot be used without.
func (h *homes) checkParts(id banger.VMID) error {
	for _, name := range []string{systemDiskName, workDiskName, hostKeyName} {
		info, err := os.Stat(filepath.Join(h.dir(id), name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			return banger.Errorf(banger.CodeCorrupt, "its file %s is missing", name)
		}
		if err != nil {
			return fmt.Errorf("its file %s cannot be used: %w", name, err)
		}
	}
	return nil
}

// makeHostKey makes the key by which the host knows a guest, and the file in
// which OpenSSH looks it up under the VM's id.
func makeHostKey(dir string, id banger.VMID) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("cannot make host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "banger "+string(id))
	if err != nil {
		return fmt.Errorf("cannot make host key: %w", err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("cannot make host key: %w", err)
	}
	line := hostKeyAlias(id) + " " + string(ssh.MarshalAuthorizedKey(key))
	return errors.Join(
		files.Write(filepath.Join(dir, hostKeyName), pem.EncodeToMemory(block), 0o600),
		files.Write(filepath.Join(dir, knownHostsName), []byte(line), 0o600))
}

func hostKeyAlias(id banger.VMID) string { return "banger-" + string(id) }

// readHostKey returns a VM's private host key as PEM and its public half as an
// authorized_keys line.
func (h *homes) readHostKey(id banger.VMID) (private, public string, err error) {
	data, err := os.ReadFile(filepath.Join(h.dir(id), hostKeyName))
	if errors.Is(err, os.ErrNotExist) {
		return "", "", banger.Errorf(banger.CodeCorrupt, "cannot use VM %s: its host key is gone: %w", id, err).
			WithHint("put %s back where it was, or delete the VM with: banger vm delete %s", h.dir(id), id)
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot read host key of VM %s: %w", id, err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return "", "", banger.Errorf(banger.CodeCorrupt, "cannot parse host key of VM %s: %w", id, err)
	}
	return string(data), string(ssh.MarshalAuthorizedKey(signer.PublicKey())), nil
}
