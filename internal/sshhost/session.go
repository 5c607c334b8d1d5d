package sshhost

import (
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/ssh"
)

// The pauses of NewSession double from the shortest, this number of times.
const (
	minChannelPause = 10 * time.Millisecond
	channelTries    = 8
)

// NewSession opens a session channel. A server that takes few (MaxSessions in
// sshd_config(5)) frees one a moment after it was closed, and notifies nobody: so one
// that is refused is asked for again, for 1.3 s.
func NewSession(ctx context.Context, client *ssh.Client) (*ssh.Session, error) {
	pause := minChannelPause
	for try := 1; ; try++ {
		session, err := client.NewSession()
		_, refused := errors.AsType[*ssh.OpenChannelError](err)
		if !refused || try == channelTries {
			return session, err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
