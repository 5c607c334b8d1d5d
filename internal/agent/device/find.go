package device

import (
	"io/fs"
	"path"
	"strings"
)

// Disks returns the nodes in /dev of all disks in a sysfs, by their serial numbers.
func Disks(sys fs.FS) map[string]string { return byAttribute(sys, "block", "serial") }

// Port returns a function for Watcher.Wait that finds the virtio-serial port of that name
// in a sysfs and returns its node in /dev.
func Port(sys fs.FS, name string) func() (string, bool) {
	return func() (string, bool) {
		node, ok := byAttribute(sys, "class/virtio-ports", "name")[name]
		return node, ok
	}
}

// byAttribute returns the nodes of the devices of a class by an attribute that is not
// empty. A device whose attribute cannot be read is another one or about to go.
func byAttribute(sys fs.FS, class, attribute string) map[string]string {
	nodes := map[string]string{}
	entries, _ := fs.ReadDir(sys, class) // there is none before its module is loaded
	for _, entry := range entries {
		data, err := fs.ReadFile(sys, path.Join(class, entry.Name(), attribute))
		if value := strings.TrimRight(string(data), "\n"); err == nil && value != "" {
			nodes[value] = "/dev/" + entry.Name()
		}
	}
	return nodes
}

// Interface returns a function for Watcher.Wait that finds the network interface
// of that name; it has no node in /dev, so the path is its name.
func Interface(sys fs.FS, name string) func() (string, bool) {
	return func() (string, bool) {
		_, err := fs.Stat(sys, path.Join("class/net", name))
		return name, err == nil
	}
}
