// Package testguest begins a guest of a test: what the init of an initrd of
// internal/image/initrd has to do before anything else. banger's agent has its own code
// for that, which tests of other things do not stand on.
package testguest

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"banger/internal/guestconfig"
)

// Interface is the guest's only one besides the loopback.
const Interface = "eth0"

// ReadyPort is the port on which the QEMU driver waits for a guest.
const ReadyPort = "org.banger.ready"

// address is what QEMU's user-mode network has for its first guest.
const address = "10.0.2.15/24"

// Begin mounts what shows the kernel and the devices, loads the modules of the initrd
// and brings the network up. Only an init calls it, once.
func Begin() error {
	for _, fs := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := unix.Mount(fs[0], fs[1], fs[0], 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("cannot mount %s: %w", fs[1], err)
		}
	}
	list, err := os.ReadFile(guestconfig.InitrdModules)
	if err != nil {
		return fmt.Errorf("cannot read list of modules: %w", err)
	}
	for path := range strings.Lines(string(list)) {
		if err := load(strings.TrimSpace(path)); err != nil {
			return fmt.Errorf("cannot load module %s: %w", path, err)
		}
	}
	return setUpNetwork()
}

// load loads a module, which may be there already; finit_module(2).
func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

func setUpNetwork() error {
	link, err := netlink.LinkByName(Interface)
	if err != nil {
		return fmt.Errorf("cannot find %s: %w", Interface, err)
	}
	addr, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}
