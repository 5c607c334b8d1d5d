package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/mailru/easyjson"

	"banger"
	"banger/api"
)

// request is one request to the daemon.
type request struct {
	method string
	path   string   // of the route
	refs   []string // what replaces its {…}
	query  url.Values
	json   any       // body, or nil
	bytes  io.Reader // body instead of json
}

func get(path string, refs ...string) request {
	return request{method: http.MethodGet, path: path, refs: refs, query: url.Values{}}
}

func post(path string, refs ...string) request {
	return request{method: http.MethodPost, path: path, refs: refs, query: url.Values{}}
}

func patch(path string, refs ...string) request {
	return request{method: http.MethodPatch, path: path, refs: refs, query: url.Values{}}
}

func remove(path string, refs ...string) request {
	return request{method: http.MethodDelete, path: path, refs: refs, query: url.Values{}}
}

// url returns the address of the request; its host is only for show.
func (r request) url() (string, error) {
	if slices.Contains(r.refs, "") {
		return "", banger.Errorf(banger.CodeInvalid, "empty name or id")
	}
	address := "http://banger" + api.Path(r.path, r.refs...)
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	return address, nil
}

// newRequest returns a request as net/http has it.
func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	address, err := r.url()
	if err != nil {
		return nil, err
	}
	body, contentType := r.bytes, api.ContentBytes
	if r.json != nil {
		data, err := json.Marshal(r.json)
		if err != nil {
			return nil, banger.Errorf(banger.CodeInvalid, "cannot write request: %w", err)
		}
		body, contentType = bytes.NewReader(data), api.ContentJSON
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, banger.Errorf(banger.CodeInternal, "cannot make request: %w", err)
	}
	if c.version != "" {
		req.Header.Set(api.HeaderVersion, c.version)
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	return req, nil
}

// open sends a request and returns a successful answer, whose body the caller
// must close. accepted is what an error of a send has with it.
func (c *Client) open(ctx context.Context, r request) (resp *http.Response, accepted *banger.SendResult, err error) {
	req, err := c.newRequest(ctx, r)
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

// do sends a request and decodes its JSON answer into result, unless that is nil.
func (c *Client) do(ctx context.Context, r request, result any) (*banger.SendResult, error) {
	resp, accepted, err := c.open(ctx, r)
	if err != nil {
		return accepted, err
	}
	defer resp.Body.Close()
	if result == nil {
		return nil, nil
	}
	var body bytes.Buffer
	body.Grow(int(max(resp.ContentLength, 0)) + bytes.MinRead)
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return nil, c.transportError(ctx, err)
	}
	if err := unmarshal(body.Bytes(), result); err != nil {
		return nil, banger.Errorf(banger.CodeInternal, "cannot understand the daemon's answer: %w", err)
	}
	return nil, nil
}

// unmarshal decodes a body, by generated code if there is any.
func unmarshal(data []byte, body any) error {
	if m, ok := body.(easyjson.Unmarshaler); ok {
		return easyjson.Unmarshal(data, m)
	}
	return json.Unmarshal(data, body)
}

// call sends a request whose JSON answer is an R.
func call[R any](ctx context.Context, c *Client, r request) (R, error) {
	var result R
	_, err := c.do(ctx, r, &result)
	return result, err
}

// stream sends a request and calls each with every line of the answer until it
// returns true. An answer that ends before that was cut off: a brokenError.
func stream[L any](ctx context.Context, c *Client, r request, each func(L) (done bool)) error {
	resp, _, err := c.open(ctx, r)
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

// milliseconds sets a parameter, rounded up: a time that is not 0 stays so.
func (r *request) milliseconds(name string, d time.Duration) {
	r.query.Set(name, strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10))
}

// stop sets the parameters of a stop.
func (r *request) stop(kill bool, grace time.Duration) {
	if kill {
		r.query.Set("kill", "true")
	}
	if grace != 0 {
		r.milliseconds("grace_ms", grace)
	}
}
