package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// dialUnix connects to a socket in a directory. It goes by the directory's descriptor,
// since a socket's path may have 107 bytes only; unix(7).
func dialUnix(ctx context.Context, dir, name string) (net.Conn, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot reach control socket: %w", err)
	}
	defer f.Close()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", descriptorPath(f, name))
	if err != nil {
		return nil, fmt.Errorf("cannot reach control socket in %s: %w", dir, err)
	}
	return conn, nil
}

// listenUnix makes a socket in a directory, for its owner only, in place of one
// that is left over, and returns what QEMU inherits. The socket's file stays when that
// is closed.
func listenUnix(dir, name string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot make control socket: %w", err)
	}
	defer f.Close()
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot make control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: descriptorPath(f, name), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot make control socket in %s: %w", dir, err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("cannot make control socket: %w", err)
	}
	return l.File()
}

func descriptorPath(dir *os.File, name string) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), name)
}
