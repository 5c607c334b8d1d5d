// Package netchange reports when the network of this host changes.
package netchange

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// groups are those of rtnetlink(7) that report addresses and routes: what decides whether
// another host can be reached.
const groups = unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// Watch calls changed after each change of an address or a route, until ctx ends, whose
// error it returns. Several changes may be reported as one, also where the kernel had more to
// report than it keeps (ENOBUFS).
func Watch(ctx context.Context, changed func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("cannot watch the network: %w", os.NewSyscallError("socket", err))
	}
	socket := os.NewFile(uintptr(fd), "rtnetlink")
	defer socket.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return fmt.Errorf("cannot watch the network: %w", os.NewSyscallError("bind", err))
	}
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	message := make([]byte, 32<<10)
	for {
		_, err := socket.Read(message)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !errors.Is(err, unix.ENOBUFS):
			return fmt.Errorf("cannot watch the network: %w", err)
		}
		changed()
	}
}
