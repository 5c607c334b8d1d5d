package client

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"banger"
	"banger/api"
	"banger/internal/localsocket"
	"banger/sessionstream"
)

// DialExec starts a session and returns a connection to its streams, on which opening has
// been sent: the first connection of an attachment (sessionstream.Config.DialFirst), in one
// round trip. r needs an idempotency key: a request whose connection broke is sent again,
// and then means the same session. DialSession makes every further connection.
func (c *Client) DialExec(ctx context.Context, vm string, r banger.SessionRequest, opening []byte) (conn net.Conn, err error) {
	if r.IdempotencyKey == "" {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot start session: the request has no idempotency key")
	}
	err = c.resume(ctx, func(func()) (err error) {
		req, err := newRequest(ctx, c, api.ExecSession, api.VMBody[banger.SessionRequest]{VM: vm, Body: r})
		if err == nil {
			conn, err = c.dialUpgrade(ctx, req, sessionstream.UpgradeToken, opening)
		}
		return err
	})
	return conn, err
}

// DialSession implements sessionstream.Dialer: a request to the daemon whose connection
// becomes one to a session's streams. Attach does it, and continues when the daemon is
// replaced.
func (c *Client) DialSession(ctx context.Context, vm, session string) (net.Conn, error) {
	req, err := newRequest(ctx, c, api.AttachSession, api.SessionRef{VM: vm, Session: session})
	if err != nil {
		return nil, err
	}
	return c.dialUpgrade(ctx, req, sessionstream.UpgradeToken, nil)
}

// DialCopy returns a connection on which one copy of files to or from a VM can be made;
// docs/COPY.md has what is spoken there.
func (c *Client) DialCopy(ctx context.Context, vm string) (net.Conn, error) {
	req, err := newRequest(ctx, c, api.CopyFiles, api.VMRef{VM: vm})
	if err != nil {
		return nil, err
	}
	return c.dialUpgrade(ctx, req, api.CopyProtocol, nil)
}

// dialUpgrade sends a request for an upgrade on a connection of its own, with what is to be
// sent behind it, and returns the connection when the upgrade has been granted.
func (c *Client) dialUpgrade(ctx context.Context, req *http.Request, protocol string, opening []byte) (net.Conn, error) {
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	conn, err := c.connect(ctx, "", "")
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // unblocks what follows
	upgraded, err := c.upgrade(conn, req, opening)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		stop()
		_ = conn.Close()
		return nil, err
	}
	return upgraded, nil
}

// upgrade sends the request for an upgrade and reads its answer.
func (c *Client) upgrade(conn net.Conn, req *http.Request, opening []byte) (net.Conn, error) {
	ctx := req.Context()
	in := bufio.NewReader(io.LimitReader(conn, maxErrorBytes))
	out := bufio.NewWriter(conn)
	err := req.Write(out)
	if err == nil {
		_, err = out.Write(opening)
	}
	if err == nil {
		err = out.Flush()
	}
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(in, req)
	}
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	defer resp.Body.Close()
	if err := c.checkDaemon(resp); err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		_, err := answerError(resp)
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, banger.Errorf(banger.CodeInternal, "cannot use the connection: the daemon answers %s to a request for an upgrade", resp.Status)
	}
	ahead, err := in.Peek(in.Buffered())
	if err != nil {
		return nil, err
	}
	return localsocket.GiveBack(conn, bytes.Clone(ahead)), nil
}
