package pid1

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"

	"banger/internal/agent/device"
	"banger/internal/guestconfig"
)

// networkInterface is the only one besides the loopback; without udev it keeps
// the kernel's name.
const networkInterface = "eth0"

// setUpNetwork brings up the loopback and the interface with its static address
// and default route.
func setUpNetwork(ctx context.Context, w *device.Watcher, config guestconfig.Network) error {
	address, err := netlink.ParseAddr(config.Address)
	if err != nil {
		return fmt.Errorf("cannot use network address %q: %w", config.Address, err)
	}
	gateway := net.ParseIP(config.Gateway)
	if gateway == nil {
		return fmt.Errorf("cannot use gateway %q: it is no IP address", config.Gateway)
	}
	if err := linkUp("lo"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, deviceLimit, errNoDevice)
	defer cancel()
	if _, err := w.Wait(ctx, device.Interface(os.DirFS("/sys"), networkInterface)); err != nil {
		return fmt.Errorf("cannot find network interface %s: %w", networkInterface, err)
	}
	link, err := netlink.LinkByName(networkInterface)
	if err != nil {
		return fmt.Errorf("cannot find network interface %s: %w", networkInterface, err)
	}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("cannot give %s the address %s: %w", networkInterface, config.Address, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", networkInterface, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("cannot set the default route over %s: %w", config.Gateway, err)
	}
	return nil
}

// linkDown stops an interface. The machine must not end with one up: Linux 6.1
// takes the device from under virtio_net, which then may spin for ever on a
// packet that it wants to send.
func linkDown(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("cannot find network interface %s: %w", name, err)
	}
	if err := netlink.LinkSetDown(link); err != nil {
		return fmt.Errorf("cannot take down %s: %w", name, err)
	}
	return nil
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("cannot find network interface %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", name, err)
	}
	return nil
}
