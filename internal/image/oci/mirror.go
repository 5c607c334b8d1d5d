package oci

import (
	"context"
	"errors"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// mirrored is an image that several registries may have. What a tag means is what the first
// one that knows it says; everything else has a digest, so it does not matter where it is from.
type mirrored struct {
	origin  *registry
	sources []*registry // the origin is the last

	mu    sync.Mutex // guards first
	first int        // of the sources: those before it do not have the image
}

// String names the origin, which the image is called after.
func (m *mirrored) String() string { return m.origin.String() }

// Root implements Source.
func (m *mirrored) Root(ctx context.Context) (d v1.Descriptor, err error) {
	err = m.each(ctx, func(s *registry) error {
		d, err = s.Root(ctx)
		return err
	})
	return d, err
}

// Blob implements Source.
func (m *mirrored) Blob(ctx context.Context, d v1.Descriptor, from int64) (r io.ReadCloser, err error) {
	err = m.each(ctx, func(s *registry) error {
		r, err = s.Blob(ctx, d, from)
		return err
	})
	return r, err
}

// each calls do with one source after the other until one succeeds. What fails is not asked
// again, but for the origin, whose error is that of all.
func (m *mirrored) each(ctx context.Context, do func(*registry) error) error {
	for {
		m.mu.Lock()
		n := m.first
		m.mu.Unlock()
		err := do(m.sources[n])
		if err == nil || n == len(m.sources)-1 || errors.Is(err, context.Cause(ctx)) && ctx.Err() != nil {
			return err
		}
		m.mu.Lock()
		m.first = max(m.first, n+1)
		m.mu.Unlock()
	}
}
