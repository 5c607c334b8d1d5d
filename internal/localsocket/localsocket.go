// Package localsocket makes unix sockets that only their owner may use.
package localsocket

import (
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"banger"
)

// MaxPath is what sockaddr_un holds, less its NUL; unix(7).
const MaxPath = 107

// Listen listens on a unix socket that only its owner may use; root may use any.
// A socket file that a dead daemon has left is replaced: the caller holds the
// lock by which no live one uses it. Any other file is left alone.
func Listen(path string) (net.Listener, error) {
	if len(path) > MaxPath {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot listen on %s: its path has %d bytes and Linux takes %d", path, len(path), MaxPath).
			WithHint("set XDG_RUNTIME_DIR to a shorter folder")
	}
	info, err := os.Lstat(path)
	if err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, banger.Errorf(banger.CodeExists, "cannot listen on %s: there is a file which is no socket", path).
				WithHint("move it away")
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("cannot remove stale socket: %w", err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	// Until here others could connect; Accept refuses them all the same.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return &listener{UnixListener: l, uid: uint32(os.Geteuid())}, nil
}

// listener accepts connections of one user and of root only.
type listener struct {
	*net.UnixListener
	uid uint32
}

// Accept implements net.Listener. It returns *net.UnixConn.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(conn); err == nil && (uid == l.uid || uid == 0) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// peerUID returns the user that connected: SO_PEERCRED of unix(7).
func peerUID(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		credentials, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	return credentials.Uid, nil
}
