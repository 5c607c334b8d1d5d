package client

import (
	"context"
	"time"

	"banger"
)

// StopSession implements banger.SessionControl.
func (c *Client) StopSession(ctx context.Context, vm, session string, grace time.Duration) (banger.Session, error) {
	q := post(sessionPath+"/stop", vm, session)
	q.query.Set("grace", grace.String())
	return call[banger.Session](ctx, c, q)
}

// KillSession implements banger.SessionControl.
func (c *Client) KillSession(ctx context.Context, vm, session string) (banger.Session, error) {
	return call[banger.Session](ctx, c, post(sessionPath+"/kill", vm, session))
}
