package localsocket

import (
	"context"
	"net"
	"os"

	"banger"
)

// Dial connects to a unix socket.
func Dial(ctx context.Context, path string) (*net.UnixConn, error) {
	address, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// DialOwn is Dial, but refuses with CodeInvalid who listens as another user: what is
// said on the connection is for this one only.
func DialOwn(ctx context.Context, path string) (*net.UnixConn, error) {
	return dialUser(ctx, path, uint32(os.Geteuid()))
}

func dialUser(ctx context.Context, path string, uid uint32) (*net.UnixConn, error) {
	conn, err := Dial(ctx, path)
	if err != nil {
		return nil, err
	}
	theirs, err := peerUID(conn)
	if err == nil && theirs != uid {
		err = banger.Errorf(banger.CodeInvalid, "cannot use socket %s: user %d listens there, and this is user %d", path, theirs, uid)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
