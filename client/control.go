package client

import (
	"context"
	"time"

	"banger"
	"banger/api"
	"banger/sessionstream"
)

// AttachSession implements banger.SessionStreams. Attach does it, and goes on when
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

// MatchSession implements banger.SessionStreams. It outlasts the daemon.
func (c *Client) MatchSession(ctx context.Context, vm, session string, r banger.MatchRequest) (m banger.Match, err error) {
	q := get(sessionPath+"/match", vm, session)
	q.query.Set("regex", r.Pattern)
	if r.Stream != "" {
		q.query.Set("stream", string(r.Stream))
	}
	if r.Cursor != nil {
		q.query.Set("cursor", api.FormatCursor(*r.Cursor))
	}
	err = c.resume(ctx, func(func()) (err error) {
		m, err = call[banger.Match](ctx, c, q)
		return err
	})
	return m, err
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
