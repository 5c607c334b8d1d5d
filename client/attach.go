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

// DialSession implements sessionstream.Dialer: a request to the daemon whose connection
// becomes one to a session's streams. Attach does it, and continues when the daemon is
// replaced.
func (c *Client) DialSession(ctx context.Context, vm, session string) (net.Conn, error) {
	req, err := newRequest(ctx, c, api.AttachSession, api.SessionRef{VM: vm, Session: session})
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", sessionstream.UpgradeToken)
	conn, err := c.connect(ctx, "", "")
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // unblocks what follows
	upgraded, err := c.upgrade(conn, req)
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
func (c *Client) upgrade(conn net.Conn, req *http.Request) (net.Conn, error) {
	ctx := req.Context()
	in := bufio.NewReader(io.LimitReader(conn, maxErrorBytes))
	err := req.Write(conn)
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
		return nil, banger.Errorf(banger.CodeInternal, "cannot attach: the daemon answers %s to a request for an upgrade", resp.Status)
	}
	ahead, err := in.Peek(in.Buffered())
	if err != nil {
		return nil, err
	}
	return localsocket.GiveBack(conn, bytes.Clone(ahead)), nil
}
