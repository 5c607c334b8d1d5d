// Command init is the /init of the lab's initrd: it puts the root file system together,
// the image under an overlay on a disk of its own, and becomes systemd.
package main

import (
	"fmt"
	"os"

	"github.com/u-root/u-root/pkg/mount"
	"golang.org/x/sys/unix"

	"banger/test/testguest"
)

const newRoot = "/newroot"

func main() {
	if err := run(); err != nil {
		fmt.Println("init of the lab:", err)
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
}

func run() error {
	if err := testguest.Begin(); err != nil {
		return err
	}
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"tmpfs", "/run", "tmpfs", 0, ""},
		{"/dev/vda", "/image", "ext4", unix.MS_RDONLY, "noload"},
		{"/dev/vdb", "/system", "ext4", 0, ""},
		{"overlay", newRoot, "overlay", 0, "lowerdir=/image,upperdir=/system/upper,workdir=/system/work"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.target, err)
		}
	}
	return mount.SwitchRoot(newRoot, "/sbin/init")
}
