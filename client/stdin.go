package client

import (
	"bytes"
	"context"
	"errors"
	"io"

	"banger"
	"banger/api"
)

// pieceBytes is what one request of a send with an offset carries.
const pieceBytes = 256 << 10

// SendSession implements banger.SessionStreams. Without an offset it is one
// request, during which nobody else's bytes come in between; it cannot be resumed,
// and r.Data may still be read once when it returns early. With an offset the
// data go in pieces, each sent again until the daemon has answered for it.
func (c *Client) SendSession(ctx context.Context, vm, session string, r banger.SendRequest) (banger.SendResult, error) {
	if r.Offset != nil {
		return c.sendAt(ctx, vm, session, r)
	}
	if r.Data != nil {
		r.Data = io.NopCloser(r.Data)
	}
	return c.send(ctx, api.SessionQuery[banger.SendRequest]{VM: vm, Session: session, Request: r})
}

func (c *Client) send(ctx context.Context, q api.SessionQuery[banger.SendRequest]) (banger.SendResult, error) {
	result, accepted, err := exchange(ctx, c, api.SendSession, q)
	if accepted != nil {
		result = *accepted
	}
	return result, err
}

// sendAt sends r.Data from a known offset on.
func (c *Client) sendAt(ctx context.Context, vm, session string, r banger.SendRequest) (result banger.SendResult, err error) {
	offset, epoch := *r.Offset, r.Epoch
	piece := func(data []byte, eof bool) error {
		q := api.SessionQuery[banger.SendRequest]{VM: vm, Session: session, Request: banger.SendRequest{
			Offset: &offset, Epoch: epoch, EOF: eof, RawLine: r.RawLine,
		}}
		return c.resume(ctx, func(func()) error {
			q.Request.Data = bytes.NewReader(data)
			answer, err := c.send(ctx, q)
			if err == nil || answer.Offset > result.Offset {
				result = answer
			}
			return err
		})
	}
	buffer := make([]byte, pieceBytes)
	sent := false
	for r.Data != nil {
		n, err := r.Data.Read(buffer)
		if n > 0 {
			if err := piece(buffer[:n], false); err != nil {
				return result, err
			}
			offset, epoch = offset+int64(n), result.Epoch
			sent = true
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return result, banger.Errorf(banger.CodeInvalid, "cannot read what to send to session %q: %w", session, err)
		}
	}
	if r.EOF || !sent { // a request without data still tells the offset
		err = piece(nil, r.EOF)
	}
	return result, err
}
