// Package localsocket makes unix sockets that only their owner may use, and reaches
// them. A socket's address has room for MaxPath bytes of path; longer ones are used by
// way of the opened directory.
package localsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"banger"
)

// MaxPath is what sockaddr_un holds, less its NUL; unix(7).
const MaxPath = 107

// Listener accepts connections of one user and of root only. Safe for concurrent use.
type Listener struct {
	path string
	uid  uint32

	mu     sync.Mutex // guards the fields below
	bound  *net.UnixListener
	file   fs.FileInfo // of the socket that bound has
	closed bool
}

// Listen listens on a unix socket that only its owner may use; root may use any.
// A socket file that a dead daemon has left is replaced: the caller holds the
// lock by which no live one uses it. Any other file is left alone.
func Listen(path string) (*Listener, error) {
	l := &Listener{path: path, uid: uint32(os.Geteuid())}
	if err := l.bind(); err != nil {
		return nil, err
	}
	return l, nil
}

// bind makes the socket. The caller holds l.mu, or is the only one who has l.
func (l *Listener) bind() error {
	info, err := os.Lstat(l.path)
	if err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return banger.Errorf(banger.CodeExists, "cannot listen on %s: there is a file that is not a socket", l.path).
				WithHint("move it away")
		}
		if err := os.Remove(l.path); err != nil {
			return fmt.Errorf("cannot remove stale socket: %w", err)
		}
	}
	address, done, err := shorten(l.path)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", l.path, err)
	}
	defer done()
	bound, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", l.path, err)
	}
	bound.SetUnlinkOnClose(false) // the name may be another's by then, or mean nothing
	// Until here others could connect; Accept refuses them all the same.
	err = os.Chmod(l.path, 0o600)
	if err == nil {
		info, err = os.Lstat(l.path)
	}
	if err != nil {
		_ = bound.Close()
		return err
	}
	l.bound, l.file = bound, info
	return nil
}

// shorten returns a path that fits into an address, which is good until done is called.
func shorten(path string) (short string, done func(), err error) {
	if len(path) <= MaxPath {
		return path, func() {}, nil
	}
	dir, name := filepath.Split(path)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/" + name, func() { _ = unix.Close(fd) }, nil
}

// Renew listens again if the socket's file was removed or replaced, and reports whether
// that was so. Connections that were accepted continue. If it fails, the next call tries again.
func (l *Listener) Renew() (renewed bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.inPlace() {
		return false, nil
	}
	old := l.bound
	if err := l.bind(); err != nil {
		return false, err
	}
	return true, old.Close()
}

// inPlace reports whether the path leads to the socket. The caller holds l.mu.
func (l *Listener) inPlace() bool {
	info, err := os.Lstat(l.path)
	return err == nil && os.SameFile(info, l.file)
}

// Accept implements net.Listener. It returns *net.UnixConn.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		bound := l.bound
		l.mu.Unlock()
		conn, err := bound.AcceptUnix()
		if err != nil {
			if l.replaced(bound) {
				continue
			}
			return nil, err
		}
		if uid, err := peerUID(conn); err == nil && (uid == l.uid || uid == 0) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

func (l *Listener) replaced(bound *net.UnixListener) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed && l.bound != bound
}

// Close implements net.Listener. It removes the socket's file.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	var err error
	if l.inPlace() {
		if err = os.Remove(l.path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return errors.Join(err, l.bound.Close())
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// peerUID returns the user at the other end of a connection: SO_PEERCRED of unix(7).
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
