package client

import (
	"context"
	"net"

	"banger"
	"banger/api"
	"banger/sessionstream"
)

// StartAttached starts a session and attaches to it before it runs: its output comes from
// the first byte on. r.NoWait is set; a launch that fails is an Exit of the attachment.
func (c *Client) StartAttached(ctx context.Context, vm string, r banger.SessionRequest, a sessionstream.Attach) (banger.Session, *sessionstream.Attachment, error) {
	r.NoWait = true
	x, err := c.StartSession(ctx, vm, r)
	if err != nil {
		return banger.Session{}, nil, err
	}
	a.From, a.Tail = &banger.LogCursor{}, nil
	attachment, err := c.Attach(ctx, string(x.VMID), string(x.ID), a)
	return x, attachment, err
}

// Exec is StartAttached in one round trip between this client and the daemon. The session's
// id is in the answer, Attachment.Attached. r.IdempotencyKey is made up if it is empty.
func (c *Client) Exec(ctx context.Context, vm string, r banger.SessionRequest, a sessionstream.Attach) (*sessionstream.Attachment, error) {
	if r.IdempotencyKey == "" {
		r.IdempotencyKey = string(banger.NewSessionID())
	}
	a.From, a.Tail = &banger.LogCursor{}, nil
	return c.open(ctx, vm, "", a, func(ctx context.Context, opening []byte) (net.Conn, error) {
		return c.DialExec(ctx, vm, r, opening)
	})
}

// Attach attaches to a session. a.AttachID is made up if it is empty. The
// attachment outlasts broken links and the daemon itself; sessionstream.Attachment
// has what can be done with it.
func (c *Client) Attach(ctx context.Context, vm, session string, a sessionstream.Attach) (*sessionstream.Attachment, error) {
	return c.open(ctx, vm, session, a, nil)
}

// open attaches to a session. first, if not nil, makes the first connection.
func (c *Client) open(ctx context.Context, vm, session string, a sessionstream.Attach, first func(context.Context, []byte) (net.Conn, error)) (*sessionstream.Attachment, error) {
	if a.AttachID == "" {
		a.AttachID = string(banger.NewSessionID())
	}
	attachment, err := sessionstream.Open(ctx, sessionstream.Config{
		Dial:      func(ctx context.Context) (net.Conn, error) { return c.DialSession(ctx, vm, session) },
		DialFirst: first,
		Attach:    a, KeepLease: true,
	})
	if err != nil {
		return nil, err
	}
	// What the refs meant at first is what it comes back to.
	attached := attachment.Attached()
	vm, session = string(attached.VMID), string(attached.SessionID)
	return attachment, nil
}

// MatchSession implements banger.SessionStreams. It outlasts the daemon.
func (c *Client) MatchSession(ctx context.Context, vm, session string, r banger.MatchRequest) (m banger.Match, err error) {
	q := api.MatchSessionRequest{VM: vm, Session: session, Request: r}
	err = c.resume(ctx, func(func()) (err error) {
		m, err = call(ctx, c, api.MatchSession, q)
		return err
	})
	return m, err
}
