package oci

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"banger"
)

// A registry answers within patience, and sends at least leastBytes of what it was asked for
// in each: a tenth of what the slowest lines have. One that does not is away, though its
// connections live.
const (
	patience   = time.Minute
	leastBytes = 32 << 10
)

// errSlow is the cause of the end of a request that the registry keeps waiting.
var errSlow = errors.New("it sends nothing, or next to nothing")

// do sends a request, and returns the answer, whose body fails with errSlow if it does not
// come. Time in which nobody reads the body does not count.
func do(client *http.Client, req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(patience, func() { cancel(errSlow) })
	res, err := client.Do(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		err = slowness(ctx, err)
		cancel(nil)
		return nil, err
	}
	res.Body = &pacedBody{ReadCloser: res.Body, ctx: ctx, cancel: cancel, timer: timer}
	return res, nil
}

// slowness returns why a request failed: errSlow if it was that.
func slowness(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		return banger.Errorf(banger.CodeUnavailable, "%w", errSlow)
	}
	return err
}

// pacedBody is one that has to come. It is read by one goroutine.
type pacedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // runs while the body is read
	waited time.Duration
	came   int // while it was waited for that long
}

func (b *pacedBody) Read(p []byte) (int, error) {
	begin := time.Now()
	b.timer.Reset(patience - b.waited)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	b.waited += time.Since(begin)
	if b.came += n; b.came >= leastBytes {
		b.came, b.waited = 0, 0
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = slowness(b.ctx, err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *pacedBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}
