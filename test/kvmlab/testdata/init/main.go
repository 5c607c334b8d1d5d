// Command init is the /init of the initrd of the lab with systemd: it puts the root file
// system together, the image under an overlay on a disk of its own, and becomes systemd.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/u-root/u-root/pkg/mount"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// keyParameter of the kernel's command line has the base64 of the ed25519 key that
// may log in as root.
const keyParameter = "lab.key="

const newRoot = "/newroot"

func main() {
	if err := run(); err != nil {
		fmt.Println("init of the lab:", err)
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
}

func run() error {
	for _, m := range [][2]string{{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "devtmpfs"}, {"/run", "tmpfs"}} {
		if err := mountAt(m[1], m[0], m[1], 0, ""); err != nil {
			return err
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := network(); err != nil {
		return err
	}
	if err := mountRoot(); err != nil {
		return err
	}
	if err := admitKey(); err != nil {
		return err
	}
	// Else systemd would take this for the first boot, and look at all units' presets.
	if err := os.WriteFile(newRoot+"/etc/machine-id", []byte("00112233445566778899aabbccddeeff\n"), 0o444); err != nil {
		return err
	}
	if err := announceReadiness(); err != nil {
		return err
	}
	return mount.SwitchRoot(newRoot, "/sbin/init")
}

func mountAt(source, target, kind string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, kind, flags, data); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}

func loadModules() error {
	list, err := os.ReadFile("/banger/modules")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(list)) {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return nil
}

// network gives the one interface what QEMU's user-mode network has for it. systemd
// leaves it as it is.
func network() error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("eth0: %w", err)
	}
	addr, err := netlink.ParseAddr("10.0.2.15/24")
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}

func mountRoot() error {
	if err := mountAt("/dev/vda", "/image", "ext4", unix.MS_RDONLY, "noload"); err != nil {
		return err
	}
	if err := mountAt("/dev/vdb", "/system", "ext4", 0, ""); err != nil {
		return err
	}
	for _, dir := range []string{"/system/upper", "/system/work"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return mountAt("overlay", newRoot, "overlay", 0, "lowerdir=/image,upperdir=/system/upper,workdir=/system/work")
}

// admitKey lets the holder of the key log in as root.
func admitKey() error {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	for _, word := range strings.Fields(string(cmdline)) {
		key, ok := strings.CutPrefix(word, keyParameter)
		if !ok {
			continue
		}
		if err := os.MkdirAll(newRoot+"/root/.ssh", 0o700); err != nil {
			return err
		}
		return os.WriteFile(newRoot+"/root/.ssh/authorized_keys", []byte("ssh-ed25519 "+key+"\n"), 0o600)
	}
	return fmt.Errorf("the kernel's command line has no %s", keyParameter)
}

// announceReadiness has systemd print on the console that the lab takes logins.
func announceReadiness() error {
	const unit = `[Unit]
After=ssh.service systemd-user-sessions.service
Requires=ssh.service
[Service]
Type=oneshot
ExecStart=/bin/echo the lab takes logins
StandardOutput=tty
TTYPath=/dev/ttyS0
`
	units := newRoot + "/etc/systemd/system"
	if err := os.WriteFile(units+"/lab.service", []byte(unit), 0o600); err != nil {
		return err
	}
	wants := units + "/multi-user.target.wants"
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	err := os.Symlink("../lab.service", wants+"/lab.service")
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}
