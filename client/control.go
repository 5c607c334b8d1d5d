package client

import (
	"context"
	"time"

	"banger"
	"banger/sessionstream"
)

// AttachSession implements banger.SessionControl. Attach does it, and goes on when
// the daemon is replaced.
func (c *Client) AttachSession(ctx context.Context, vm, session string, r banger.AttachRequest) (banger.AttachInfo, error) {
	q := post(sessionPath+"/attach", vm, session)
	q.json = r
	return call[banger.AttachInfo](ctx, c, q)
}

// Attach attaches to a session. a.AttachID is made up if it is empty. The
// attachment outlasts broken links and the daemon itself; sessionstream.Attachment
// has what can be done with it.
func (c *Client) Attach(ctx context.Context, vm, session string, a sessionstream.Attach) (*sessionstream.Attachment, error) {
	x, err := c.GetSession(ctx, vm, session)
	if err != nil {
		return nil, err
	}
	if a.AttachID == "" {
		a.AttachID = string(banger.NewSessionID())
	}
	return sessionstream.Open(ctx, sessionstream.Config{
		Dial: sessionstream.DialSession(c, string(x.VMID), string(x.ID), a.AttachID), Attach: a, KeepLease: true,
	})
}

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
