package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/mailru/easyjson"

	"banger"
	"banger/api"
)

// newRequest returns a request of an operation; the host of its address is only for show.
func newRequest[Q, R any](ctx context.Context, c *Client, o api.Operation[Q, R], q Q) (*http.Request, error) {
	req, err := o.NewRequest(ctx, "http://banger", q)
	if err == nil && c.version != "" {
		req.Header.Set(api.HeaderVersion, c.version)
	}
	return req, err
}

// open sends a request and returns a successful answer, whose body the caller
// must close. accepted is what an error of a send has with it.
func open[Q, R any](ctx context.Context, c *Client, o api.Operation[Q, R], q Q) (resp *http.Response, accepted *banger.SendResult, err error) {
	req, err := newRequest(ctx, c, o, q)
	if err != nil {
		return nil, nil, err
	}
	if resp, err = c.http.Do(req); err != nil {
		return nil, nil, c.transportError(ctx, err)
	}
	if err = c.checkDaemon(resp); err == nil && resp.StatusCode >= 300 {
		accepted, err = answerError(resp)
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, accepted, err
	}
	return resp, nil, nil
}

// call sends a request of an operation and returns the answer.
func call[Q, R any](ctx context.Context, c *Client, o api.Operation[Q, R], q Q) (R, error) {
	result, _, err := exchange(ctx, c, o, q)
	return result, err
}

// exchange is call with what a send has accepted before an error.
func exchange[Q, R any](ctx context.Context, c *Client, o api.Operation[Q, R], q Q) (result R, accepted *banger.SendResult, err error) {
	resp, accepted, err := open(ctx, c, o, q)
	if err != nil {
		return result, accepted, err
	}
	defer resp.Body.Close()
	if o.Result == nil {
		return result, nil, nil
	}
	var body bytes.Buffer
	body.Grow(int(max(resp.ContentLength, 0)) + bytes.MinRead)
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return result, nil, c.transportError(ctx, err)
	}
	if err := unmarshal(body.Bytes(), &result); err != nil {
		return result, nil, banger.Errorf(banger.CodeInternal, "cannot understand the daemon's answer: %w", err)
	}
	return result, nil, nil
}

// unmarshal decodes a body, by generated code if there is any.
func unmarshal(data []byte, body any) error {
	if m, ok := body.(easyjson.Unmarshaler); ok {
		return easyjson.Unmarshal(data, m)
	}
	return json.Unmarshal(data, body)
}

// stream sends a request and calls each with every line of the answer until it
// returns true. An answer that ends before that was cut off: a brokenError.
func stream[Q, L any](ctx context.Context, c *Client, o api.Operation[Q, L], q Q, each func(L) (done bool)) error {
	resp, _, err := open(ctx, c, o, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, api.MaxLineBytes)
	lines.Split(wholeLines)
	for lines.Scan() {
		var line L
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return banger.Errorf(banger.CodeInternal, "cannot understand a line of the daemon's answer: %w", err)
		}
		if each(line) {
			return nil
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return c.transportError(ctx, err)
}

// wholeLines is a bufio.SplitFunc for lines that end with a newline; what comes
// after the last one was cut off and is dropped.
func wholeLines(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}
