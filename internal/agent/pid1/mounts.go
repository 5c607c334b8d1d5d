package pid1

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mount is one file system to be mounted.
type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// kernelMounts are what the agent itself needs; they move into the root file
// system with the names that they have.
var kernelMounts = []mount{
	{"proc", "/proc", "proc", safe, ""},
	{"sysfs", "/sys", "sysfs", safe, ""},
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
}

// systemMounts are the others that programs expect in a Linux system; see the
// File Hierarchy Standard and systemd's API file systems.
var systemMounts = []mount{
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666"},
	{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", "mqueue", safe, ""},
	{"cgroup2", "/sys/fs/cgroup", "cgroup2", safe, "nsdelegate,memory_recursiveprot"},
}

// do mounts it, on a directory that it makes if need be.
func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return fmt.Errorf("cannot mount %s: %w", m.target, err)
	}
	if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
		return fmt.Errorf("cannot mount %s (%s) on %s: %w", m.source, m.fstype, m.target, err)
	}
	return nil
}

// moveMount moves a mounted file system; see mount(2), MS_MOVE.
func moveMount(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("cannot move mount %s: %w", from, err)
	}
	if err := unix.Mount(from, to, "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cannot move mount %s to %s: %w", from, to, err)
	}
	return nil
}
