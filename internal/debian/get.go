package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"banger"
)

// errAbsent says that an archive does not have a file.
var errAbsent = errors.New("it is not there")

// stallTime is how long an archive may send nothing.
const stallTime = 30 * time.Second

// errStalled ends a transfer that makes no progress.
var errStalled = fmt.Errorf("nothing has come for %s", stallTime)

// get returns a file of an archive, of at most limit bytes.
func (a Archives) get(ctx context.Context, url string, limit int64) (data []byte, err error) {
	err = a.read(ctx, url, func(body io.Reader) error {
		data, err = io.ReadAll(io.LimitReader(body, limit+1))
		if err == nil && int64(len(data)) > limit {
			err = banger.Errorf(banger.CodeCorrupt, "cannot read %s: it has more than %d bytes", url, limit)
		}
		return err
	})
	return data, err
}

// read has consume read a file of an archive. It fails with errAbsent if that is not there, and
// with CodeUnavailable if it cannot be had now.
func (a Archives) read(ctx context.Context, url string, consume func(io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(stallTime, func() { cancel(errStalled) })
	defer stall.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return banger.Errorf(banger.CodeInvalid, "cannot read %s: %w", url, err)
	}
	client := http.Client{Transport: a.Transport}
	response, err := client.Do(request)
	if err != nil {
		return unavailable(ctx, url, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden: // of S3 and others
		return fmt.Errorf("cannot read %s: %w", url, errAbsent)
	default:
		return unavailable(ctx, url, fmt.Errorf("the server says %q", response.Status))
	}
	body := &transfer{from: response.Body, stall: stall}
	err = consume(body)
	if body.failed != nil {
		return unavailable(ctx, url, body.failed)
	}
	return err
}

// transfer is a body whose reader is told apart from what reads it.
type transfer struct {
	from   io.Reader
	stall  *time.Timer
	failed error // why it ended too early
}

// Read implements io.Reader.
func (t *transfer) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.stall.Reset(stallTime)
	if err != nil && !errors.Is(err, io.EOF) {
		t.failed = err
	}
	return n, err
}

func unavailable(ctx context.Context, url string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if !errors.Is(cause, errStalled) {
			return cause
		}
		err = cause
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot read %s: %w", url, err).
		WithHint("check the network and try again, or name another mirror with --mirror")
}
