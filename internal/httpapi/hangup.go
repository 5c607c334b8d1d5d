package httpapi

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// watchHangUp calls hungUp when the client of a request has closed its
// connection, even while unread bytes of it are waiting. stop ends the watch and
// waits for it. Where the connection is not a unix socket it does nothing.
func watchHangUp(ctx context.Context, hungUp func()) (stop func(), err error) {
	v := visitOf(ctx)
	if v == nil {
		return func() {}, nil
	}
	conn, ok := v.conn.(*net.UnixConn)
	if !ok {
		return func() {}, nil
	}
	// A descriptor of its own, since reads of one descriptor exclude each other.
	file, err := conn.File()
	if err != nil {
		return nil, fmt.Errorf("cannot watch connection: %w", err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("cannot watch connection: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		// Read calls the function again after each event of the descriptor, until
		// it returns true; closing the file ends it.
		if raw.Read(closedByPeer) == nil {
			hungUp()
		}
	})
	return func() {
		_ = file.Close()
		wg.Wait()
	}, nil
}
