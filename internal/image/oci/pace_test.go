package oci_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"banger"
	"banger/internal/image/oci"
)

// staller is a registry in memory that answers with one blob, a piece at a time.
type staller struct {
	silent string // what is asked for so is never answered
	data   []byte
	piece  int // bytes that come at once
	pause  time.Duration
	asked  int // for the blob
}

// RoundTrip implements http.RoundTripper.
func (s *staller) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.silent != "" && strings.Contains(r.URL.Path, s.silent) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	answer := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}, Request: r}
	if strings.Contains(r.URL.Path, "/blobs/") {
		s.asked++
		answer.Body = io.NopCloser(&drip{s, r.Context(), bytes.NewReader(s.data)})
	}
	return answer, nil
}

type drip struct {
	*staller
	ctx  context.Context
	rest *bytes.Reader
}

func (d *drip) Read(p []byte) (int, error) {
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-time.After(d.pause):
		return d.rest.Read(p[:min(len(p), d.piece)])
	}
}

// A registry that holds a connection and sends nothing, or a byte now and then, is given up
// in minutes, and no matter how slow a line is that only is slow, its bytes are taken.
func TestFetch_GivesUpARegistryThatStallsButNoSlowLine(t *testing.T) {
	for name, c := range map[string]struct {
		registry staller
		within   time.Duration // 0: the blob comes
	}{
		"no answer to the first request":  {staller{silent: "/v2/"}, 5 * time.Minute},
		"no answer for the blob":          {staller{silent: "/blobs/"}, 5 * time.Minute},
		"no byte":                         {staller{piece: 1, pause: time.Hour}, 5 * time.Minute},
		"a byte every second":             {staller{piece: 1, pause: time.Second}, 5 * time.Minute},
		"a line of 1200 bytes per second": {staller{piece: 1200, pause: time.Second}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.registry.data = bytes.Repeat([]byte("blob"), 64<<10)
			d := v1.Descriptor{Digest: digestOf(t, c.registry.data), Size: int64(len(c.registry.data)), MediaType: types.OCILayer}
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				source, err := oci.Registry{Transport: &c.registry}.From("registry.example/x")
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				_, err = oci.NewBlobs(dir).Fetch(t.Context(), source, d, nil)
				took := time.Since(begin)
				switch {
				case c.within == 0 && err != nil:
					t.Errorf("a slow line is given up after %s: %v", took, err)
				case c.within > 0 && (banger.CodeOf(err) != banger.CodeUnavailable || took > c.within):
					t.Errorf("after %s: %v, want it given up within %s", took, err, c.within)
				}
			})
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
				t.Errorf("%d files are there: %v", len(entries), err)
			}
		})
	}
}
