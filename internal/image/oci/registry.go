package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"banger"
	"banger/internal/imagename"
)

// Registry says how registries are reached.
type Registry struct {
	// Auth is how to log in; nil: without a name.
	Auth authn.Authenticator
	// Transport carries all requests; http.DefaultTransport if it is nil.
	Transport http.RoundTripper
	// Mirrors are where the image is looked for first, in this order: hosts, each perhaps
	// with a port and a path, before the name that the image has in its registry.
	Mirrors func(host string) []string
}

// From returns the source of an image by its name, as docker has it: "node:22",
// "registry.example/team/image@sha256:…". No request is made yet.
func (r Registry) From(ref string) (Source, error) {
	parsed, err := imagename.Parse(ref)
	if err != nil {
		return nil, err
	}
	origin := r.source(parsed, r.Auth)
	if r.Mirrors == nil {
		return origin, nil
	}
	host := parsed.Context().RegistryStr()
	if host == name.DefaultRegistry {
		host = dockerHub
	}
	m := &mirrored{origin: origin}
	for _, mirror := range r.Mirrors(host) {
		ref, err := imagename.Parse(mirror + "/" + parsed.Context().RepositoryStr() + separator(parsed) + parsed.Identifier())
		if err != nil {
			return nil, fmt.Errorf("cannot use mirror %s of %s: %w", mirror, host, err)
		}
		m.sources = append(m.sources, r.source(ref, nil)) // the login is the origin's
	}
	if m.sources = append(m.sources, origin); len(m.sources) == 1 {
		return origin, nil
	}
	return m, nil
}

// dockerHub is what people call name.DefaultRegistry.
const dockerHub = "docker.io"

// separator returns what is between the repository of a reference and its tag or digest.
func separator(ref name.Reference) string {
	if _, ok := ref.(name.Digest); ok {
		return "@"
	}
	return ":"
}

func (r Registry) source(ref name.Reference, auth authn.Authenticator) *registry {
	s := &registry{ref: ref, auth: auth, inner: r.Transport}
	if s.inner == nil {
		s.inner = http.DefaultTransport
	}
	if s.auth == nil {
		s.auth = authn.Anonymous
	}
	return s
}

// registry is an image of one.
type registry struct {
	ref   name.Reference
	auth  authn.Authenticator
	inner http.RoundTripper

	mu     sync.Mutex // guards the fields below
	client *http.Client
	root   []byte // the document that the reference means, once it is known
	rootOf v1.Descriptor
}

func (s *registry) String() string { return s.ref.Name() }

// acceptable is what a manifest may be, as a registry is asked for it.
const acceptable = string(types.OCIImageIndex) + ", " + string(types.OCIManifestSchema1) + ", " +
	string(types.DockerManifestList) + ", " + string(types.DockerManifestSchema2)

// Root implements Source. What a tag means is asked once.
func (s *registry) Root(ctx context.Context) (v1.Descriptor, error) {
	s.mu.Lock()
	known := s.rootOf
	s.mu.Unlock()
	if known.Digest.Hex != "" {
		return known, nil
	}
	res, err := s.get(ctx, "manifests", s.ref.Identifier(), "")
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxDocumentBytes+1))
	if err != nil {
		return v1.Descriptor{}, banger.Errorf(banger.CodeUnavailable, "cannot read the manifest of %s: %w", s, err)
	}
	if len(data) > maxDocumentBytes {
		return v1.Descriptor{}, banger.Errorf(banger.CodeInvalid, "cannot take %s: its manifest has more than %d bytes", s, maxDocumentBytes)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		return v1.Descriptor{}, err
	}
	if want, ok := s.ref.(name.Digest); ok && want.DigestStr() != digest.String() {
		return v1.Descriptor{}, banger.Errorf(banger.CodeCorrupt, "cannot take %s: the registry answers with the digest %s", s, digest)
	}
	mediaType, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	d := v1.Descriptor{MediaType: types.MediaType(mediaType), Digest: digest, Size: size}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root, s.rootOf = data, d
	return d, nil
}

// Blob implements Source.
func (s *registry) Blob(ctx context.Context, d v1.Descriptor, from int64) (io.ReadCloser, error) {
	s.mu.Lock()
	root, rootOf := s.root, s.rootOf
	s.mu.Unlock()
	if d.Digest == rootOf.Digest && root != nil {
		return io.NopCloser(bytes.NewReader(root[min(from, int64(len(root))):])), nil
	}
	kind := "blobs"
	if d.MediaType.IsIndex() || d.MediaType.IsImage() {
		kind = "manifests"
	}
	part := ""
	if from > 0 {
		part = fmt.Sprintf("bytes=%d-%d", from, max(from, d.Size-1))
	}
	res, err := s.get(ctx, kind, d.Digest.String(), part)
	if err != nil {
		return nil, err
	}
	if from > 0 && res.StatusCode != http.StatusPartialContent { // it knows no ranges
		if _, err := io.CopyN(io.Discard, res.Body, from); err != nil {
			return nil, errors.Join(banger.Errorf(banger.CodeUnavailable, "cannot read %s: %w", s, err), res.Body.Close())
		}
	}
	return res.Body, nil
}

// get asks the registry for a thing of the repository, or for a part of it: a Range of RFC
// 9110, 14.2. Some registries know none without an end.
func (s *registry) get(ctx context.Context, kind, id, part string) (*http.Response, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	repository := s.ref.Context()
	url := fmt.Sprintf("%s://%s/v2/%s/%s/%s", repository.Registry.Scheme(), repository.RegistryStr(), repository.RepositoryStr(), kind, id)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if kind == "manifests" {
		req.Header.Set("Accept", acceptable)
	}
	if part != "" {
		req.Header.Set("Range", part)
	}
	res, err := do(client, req)
	if err != nil {
		return nil, s.unreachable(err)
	}
	if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusPartialContent {
		return res, nil
	}
	defer res.Body.Close()
	return nil, s.refused(res)
}

// connect returns the client of the registry, which has logged in.
func (s *registry) connect(ctx context.Context) (*http.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	connecting, cancel := context.WithTimeoutCause(ctx, patience, errSlow)
	defer cancel()
	t, err := transport.NewWithContext(connecting, s.ref.Context().Registry, s.auth, s.inner, []string{s.ref.Scope(transport.PullScope)})
	if err != nil {
		return nil, s.unreachable(slowness(connecting, err))
	}
	s.client = &http.Client{Transport: t}
	return s.client, nil
}

// unreachable is the error for a request that had no answer, or a login that was refused.
func (s *registry) unreachable(cause error) error {
	host := s.ref.Context().RegistryStr()
	if refusal, ok := errors.AsType[*transport.Error](cause); ok {
		return s.explain(refusal.StatusCode, cause.Error())
	}
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot take %s: %s cannot be reached: %w", s, host, cause).
		WithHint("try again later, or take the image from a file with: banger image import")
}

// maxRefusal bounds what a registry may say of why.
const maxRefusal = 1 << 10

// refused is the error for an answer that is not what was asked for.
func (s *registry) refused(res *http.Response) error {
	said, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	return s.explain(res.StatusCode, res.Status+": "+strings.ToValidUTF8(strings.TrimSpace(string(said)), "?"))
}

func (s *registry) explain(status int, said string) error {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return banger.Errorf(banger.CodeMissing, "cannot take %s: the registry refuses: %s", s, said).
			WithHint("log in with: docker login %s (or podman login), or see whether the name is right", s.ref.Context().RegistryStr())
	case status == http.StatusNotFound:
		return banger.Errorf(banger.CodeNotFound, "cannot take %s: the registry does not have it: %s", s, said).
			WithHint("see whether the name and the tag are right")
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return banger.Errorf(banger.CodeUnavailable, "cannot take %s: the registry cannot answer now: %s", s, said).
			WithHint("try again later")
	}
	return banger.Errorf(banger.CodeInvalid, "cannot take %s: the registry answers %s", s, said)
}
