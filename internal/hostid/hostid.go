// Package hostid distinguishes the hosts that share a directory over a network.
package hostid

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"banger"
	"banger/internal/diskspace"
	"banger/internal/files"
	"banger/internal/process"
)

// Host is what a host knows itself by.
type Host struct {
	MachineID string `json:"machine_id,omitempty"` // machine-id(5); empty where there is none, as in many containers
	BootID    string `json:"boot_id"`              // random(4)
	Name      string `json:"name"`                 // gethostname(2)
}

// maxBytes bounds what is read of a file.
const maxBytes = 4 << 10

// Here returns this host.
func Here() (Host, error) {
	boot, err := process.BootID()
	if err != nil {
		return Host{}, err
	}
	name, err := os.Hostname()
	if err != nil {
		return Host{}, fmt.Errorf("cannot get the name of this host: %w", err)
	}
	return Host{MachineID: MachineID(), BootID: boot, Name: name}, nil
}

// MachineID returns this host's id, machine-id(5), or "" if it has none.
func MachineID() string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		data, err := os.ReadFile(path)
		id := strings.TrimSpace(string(data))
		if err == nil && len(id) == 32 && strings.Trim(id, "0123456789abcdef") == "" {
			return id
		}
	}
	return ""
}

// Is reports whether two are the same host, in this boot or another. Those that have ids
// are distinguished by them, others by their boot or their name.
func (h Host) Is(other Host) bool {
	if h.MachineID != "" && other.MachineID != "" {
		return h.MachineID == other.MachineID
	}
	return h.BootID == other.BootID || h.Name == other.Name
}

// Claim makes a host the only one that uses a directory, by the file at path in it: no lock
// is needed for that, so it also counts where a file system does not carry locks from host to
// host. If another host has it, the error is CodeInUse. One claims it again after a
// reboot. On a full disk a claim that is not another's is enough.
func Claim(path string, h Host) error {
	err := claim(path, h)
	if diskspace.IsFull(err) {
		return Check(path, h)
	}
	return err
}

func claim(path string, h Host) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".claim-")
	if err != nil {
		return fmt.Errorf("cannot claim %s: %w", path, err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(append(data, '\n'))
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("cannot claim %s: %w", path, err)
	}
	err = os.Link(temp.Name(), path) // fails if it is there, on NFS, too
	if err == nil {
		return files.SyncDir(filepath.Dir(path))
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot claim %s: %w", path, err)
	}
	if err := Check(path, h); err != nil {
		return err
	}
	return files.Write(path, append(data, '\n'), 0o600)
}

// Check fails as Claim does if another host has the directory, and claims nothing.
func Check(path string, h Host) error {
	owner, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !owner.Is(h) {
		return banger.Errorf(banger.CodeInUse, "cannot use directory %s: it is in use by host %s (machine id %s), and this is host %s (%s)",
			filepath.Dir(path), owner.Name, known(owner.MachineID), h.Name, known(h.MachineID)).
			WithHint("set XDG_STATE_HOME to a directory of this host's own; if host %s is gone for good: rm %s", owner.Name, path)
	}
	return nil
}

// Read returns the host that has claimed a directory.
func Read(path string) (Host, error) {
	var h Host
	data, err := os.ReadFile(path)
	if err == nil && len(data) > maxBytes {
		err = fmt.Errorf("it has %d bytes", len(data))
	}
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	if err != nil {
		return h, banger.Errorf(banger.CodeCorrupt, "cannot determine which host has claimed the directory of %s: %w", path, err).
			WithHint("if no other host uses it: rm %s", path)
	}
	return h, nil
}

func known(id string) string {
	if id == "" {
		return "without machine id"
	}
	return id
}
