package guest

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// connection is an SSH connection that reports when it has ended.
type connection struct {
	*ssh.Client
	ended chan struct{} // closed when it has
	cause error         // why; set before that
}

func newConnection(client *ssh.Client) *connection {
	c := &connection{Client: client, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		c.cause = client.Wait()
	}()
	return c
}

// opened returns what open does, which opens a channel, but fails when ctx or the
// connection ends: a channel that is opened at that very moment is never answered
// nor given up by x/crypto, and its goroutine is lost.
func opened[C io.Closer](ctx context.Context, conn *connection, open func() (C, error)) (C, error) {
	type result struct {
		channel C
		err     error
	}
	done := make(chan result, 1)
	go func() {
		channel, err := open()
		done <- result{channel, err}
	}()
	var none C
	select {
	case r := <-done:
		return r.channel, r.err
	case <-conn.ended:
		return none, fmt.Errorf("the connection has ended: %w", conn.cause)
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				r.channel.Close()
			}
		}()
		return none, context.Cause(ctx)
	}
}
