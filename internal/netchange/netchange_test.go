package netchange_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"banger/internal/netchange"
)

// ownNetwork says that the test runs in a network namespace of its own.
const ownNetwork = "BANGER_TEST_OWN_NETWORK"

func TestWatch_TellsOfANewAddress(t *testing.T) {
	if os.Getenv(ownNetwork) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), ownNetwork+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() {
		ended <- netchange.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	limit := time.After(30 * time.Second)
	for n := byte(1); ; n++ { // the watch may not have begun yet
		address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 0, 0, n), Mask: net.CIDRMask(32, 32)}}
		if err := netlink.AddrAdd(loopback, address); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(200 * time.Millisecond):
			continue
		case <-limit:
			t.Fatal("nothing was told")
		}
		break
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
