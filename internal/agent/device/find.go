package device

import (
	"io/fs"
	"path"
	"strings"
)

// Disk returns a function for Watcher.Wait that finds the disk of that serial
// number in a sysfs and returns its node in /dev.
func Disk(sys fs.FS, serial string) func() (string, bool) {
	return byAttribute(sys, "block", "serial", serial)
}

// Port does the same for the virtio-serial port of that name.
func Port(sys fs.FS, name string) func() (string, bool) {
	return byAttribute(sys, "class/virtio-ports", "name", name)
}

// byAttribute finds the device of a class whose attribute has that value. A
// device whose attribute cannot be read is another one or about to go.
func byAttribute(sys fs.FS, class, attribute, value string) func() (string, bool) {
	return func() (string, bool) {
		entries, err := fs.ReadDir(sys, class)
		if err != nil || value == "" {
			return "", false
		}
		for _, entry := range entries {
			data, err := fs.ReadFile(sys, path.Join(class, entry.Name(), attribute))
			if err == nil && strings.TrimRight(string(data), "\n") == value {
				return "/dev/" + entry.Name(), true
			}
		}
		return "", false
	}
}

// Interface returns a function for Watcher.Wait that finds the network interface
// of that name; it has no node in /dev, so the path is its name.
func Interface(sys fs.FS, name string) func() (string, bool) {
	return func() (string, bool) {
		_, err := fs.Stat(sys, path.Join("class/net", name))
		return name, err == nil
	}
}
