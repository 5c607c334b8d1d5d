package pid1

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// identityName is the file on the system disk, beside the overlay, that has the id of the VM
// whose identity is in the overlay. A VM with a copy of the disk has another one.
const identityName = "identity-1"

// firstBoot is what machine-id(5) has in /etc/machine-id of a system that has never run. An
// empty file would give it an id too, but not have its units with ConditionFirstBoot run.
const firstBoot = "uninitialized\n"

// identify has systemd give a system an identity of its own, when this VM boots for the first
// time: what the image has of one, all of its VMs would have. It is systemd that stores the
// id, and a first boot that was cut off before that counts as none.
func identify(root, systemDisk, vmID string) error {
	known := filepath.Join(systemDisk, identityName)
	now, err := os.ReadFile(known)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot give the system an identity: %w", err)
	}
	if strings.TrimSpace(string(now)) == vmID {
		return nil
	}
	if err := forgetIdentity(root); err != nil {
		return fmt.Errorf("cannot give the system an identity: %w", err)
	}
	if err := syncFileSystem(systemDisk); err != nil { // what is above the overlay lies there, too
		return fmt.Errorf("cannot give the system an identity: %w", err)
	}
	if err := replaceFile(known, []byte(vmID+"\n")); err != nil {
		return fmt.Errorf("cannot give the system an identity: %w", err)
	}
	return nil
}

// forgetIdentity removes what tells a system from another one: its id, also in the copy that
// older versions of D-Bus have, and what its random numbers begin with.
func forgetIdentity(root string) error {
	if err := replaceFile(filepath.Join(root, "etc/machine-id"), []byte(firstBoot)); err != nil {
		return err
	}
	for _, name := range []string{"var/lib/dbus/machine-id", "var/lib/systemd/random-seed"} {
		path := filepath.Join(root, name)
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue // a link leads to /etc/machine-id
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
