package localsocket

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Dial connects to a unix socket, also to one whose path is longer than MaxPath.
func Dial(ctx context.Context, path string) (*net.UnixConn, error) {
	if len(path) > MaxPath {
		// By way of the opened folder: a socket's own name is short.
		dir, name := filepath.Split(path)
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: dir, Err: err}
		}
		defer unix.Close(fd)
		path = "/proc/self/fd/" + strconv.Itoa(fd) + "/" + name
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}
