package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"banger"
	"banger/api"
)

// dialError is a connection that could not be made: the daemon got nothing.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// brokenError is a connection that ended before the answer did, or an answer
// that says that the daemon is stopping.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// maxErrorBytes bounds the body of an answer that is not a success.
const maxErrorBytes = 1 << 20

// contextError is the error for the end of ctx.
func contextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return banger.Errorf(banger.CodeTimeout, "cannot finish the request: its time limit ran out: %w", ctx.Err())
	}
	return context.Cause(ctx)
}

// transportError turns an error of net/http into one for the user.
func (c *Client) transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	if failed, ok := errors.AsType[*dialError](err); ok {
		if e, ok := errors.AsType[*banger.Error](failed.error); ok {
			return &banger.Error{Code: e.Code, Message: e.Message, Hint: e.Hint, Candidates: e.Candidates, Err: failed}
		}
		return unavailable("cannot reach the daemon: "+failed.Error(), "start it with: banger daemon run", failed)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // its text repeats the URL, which says nothing about a socket
	}
	if errors.Is(err, bufio.ErrTooLong) {
		return banger.Errorf(banger.CodeInternal, "cannot read the daemon's answer: a line has more than %d bytes", api.MaxLineBytes)
	}
	return unavailable("cannot tell what became of the request: the connection to the daemon broke: "+err.Error(),
		"see whether it was carried out before you repeat it", &brokenError{err})
}

func unavailable(message, hint string, cause error) error {
	return &banger.Error{Code: banger.CodeUnavailable, Message: message, Hint: hint, Err: cause}
}

// answerError returns the error that an answer without success has in its body.
func answerError(resp *http.Response) (*banger.SendResult, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	var body api.ErrorBody
	if err != nil || json.Unmarshal(data, &body) != nil || body.Error == nil {
		return nil, banger.Errorf(banger.CodeInternal, "cannot understand the daemon's answer: status %s with %.200q", resp.Status, data)
	}
	if resp.Header.Get("Retry-After") != "" {
		body.Error.Err = &brokenError{errors.New("the daemon is stopping")}
	}
	return body.Accepted, body.Error
}

// checkDaemon refuses an answer of something that is not a daemon of banger.
func (c *Client) checkDaemon(resp *http.Response) error {
	if resp.Header.Get(api.HeaderVersion) != "" {
		return nil
	}
	return banger.Errorf(banger.CodeMismatch, "cannot use socket %s: the process that answers is not banger", c.socket).
		WithHint("find the process that listens there: ss -xlp src %s", c.socket)
}
