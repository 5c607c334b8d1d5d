// Package device finds a guest's virtual devices. Where one may not be there
// yet, it listens to what the kernel announces and never polls.
package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Watcher listens to the kernel's announcements of devices (uevents, a
// NETLINK_KOBJECT_UEVENT socket; netlink(7)). It belongs to one goroutine.
type Watcher struct {
	socket *os.File
	buffer []byte
}

// kernelGroup is the multicast group of the kernel's own messages; udev's are in
// another.
const kernelGroup = 1

// maxUeventBytes is more than the kernel ever sends: UEVENT_BUFFER_SIZE and the
// path of the device. What is cut off is not read anyway.
const maxUeventBytes = 8 << 10

// Watch starts to listen: what is announced from now on is not missed.
func Watch() (*Watcher, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("cannot watch devices: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot watch devices: %w", err)
	}
	return &Watcher{socket: os.NewFile(uintptr(fd), "uevents"), buffer: make([]byte, maxUeventBytes)}, nil
}

// Close ends the listening.
func (w *Watcher) Close() error { return w.socket.Close() }

// Wait calls find, and again after each announcement, until it finds the device
// or ctx ends.
func (w *Watcher) Wait(ctx context.Context, find func() (path string, ok bool)) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = w.socket.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() { // the deadline may have been set: clear it for the next Wait
			_ = w.socket.SetReadDeadline(time.Time{})
		}
	}()
	for {
		if path, ok := find(); ok {
			return path, nil
		}
		// What was announced does not matter: find looks at the present state, and
		// it must look again too when messages were lost (ENOBUFS).
		_, err := w.socket.Read(w.buffer)
		switch {
		case err == nil, errors.Is(err, unix.ENOBUFS):
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		default:
			return "", fmt.Errorf("cannot watch devices: %w", err)
		}
	}
}
