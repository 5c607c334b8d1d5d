package oci_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"banger"
	"banger/internal/image/oci"
)

func linux(arch string) v1.Platform { return v1.Platform{OS: "linux", Architecture: arch} }

// imageFor makes an image with layers of random files.
func imageFor(t *testing.T, arch string, layers int) v1.Image {
	t.Helper()
	image, err := random.Image(300<<10, int64(layers))
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// indexOf makes an index of images, the first of which is an attestation as BuildKit makes it.
func indexOf(t *testing.T, images map[string]v1.Image) v1.ImageIndex {
	t.Helper()
	attestation, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	adds := []mutate.IndexAddendum{{Add: attestation, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}, Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"},
	}}}
	for arch, image := range images {
		platform := linux(arch)
		adds = append(adds, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return mutate.AppendManifests(empty.Index, adds...)
}

// host serves a registry, by way of what wrap makes of it. It returns its address.
func host(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func push(t *testing.T, ref string, index v1.ImageIndex) {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err == nil {
		err = remote.WriteIndex(parsed, index)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func from(t *testing.T, ref string) oci.Source {
	t.Helper()
	s, err := oci.Registry{}.From(ref)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// isImage fails the test unless what was found is an image, whose layers are had.
func isImage(t *testing.T, found *oci.Image, want v1.Image) {
	t.Helper()
	wantID, err := want.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := want.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Layers) != len(layers) {
		t.Fatalf("the image has %d layers, want the %d of %s", len(found.Layers), len(layers), wantID)
	}
	blobs := oci.NewBlobs(t.TempDir())
	for i, l := range layers {
		diff, err := l.DiffID()
		if err != nil || diff != found.DiffIDs()[i] {
			t.Errorf("layer %d is %s, want %s: %v", i, found.DiffIDs()[i], diff, err)
		}
		if found.Layers[i].MediaType == types.DockerUncompressedLayer { // is called by its DiffID
			continue
		}
		digest, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		path, err := blobs.Fetch(t.Context(), found.Source, found.Layers[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || digestOf(t, data) != digest {
			t.Errorf("layer %d is not what it was: %v", i, err)
		}
	}
}

func digestOf(t *testing.T, data []byte) v1.Hash {
	t.Helper()
	digest, _, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestFind_TakesThePlatformsImageFromWhereverItIs(t *testing.T) {
	want := imageFor(t, "amd64", 3)
	index := indexOf(t, map[string]v1.Image{"arm64": imageFor(t, "arm64", 1), "amd64": want})

	ref := host(t, nil) + "/team/image:tag"
	push(t, ref, index)
	dir := t.TempDir()
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatal(err)
	}
	inDir, err := oci.FromLayout("the directory", os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]oci.Source{
		"registry": from(t, ref), "registry, by digest": from(t, strings.TrimSuffix(ref, ":tag")+"@"+digest.String()),
		"directory": inDir, "archive of one": tarOf(t, dir), "docker save": saved(t, want),
	} {
		t.Run(name, func(t *testing.T) {
			found, err := oci.Find(t.Context(), s, linux("amd64"), "")
			if err != nil {
				t.Fatal(err)
			}
			isImage(t, found, want)
		})
	}
}

// What docker saves of one platform still lists the others, whose blobs are not there.
func TestFind_AsksOnlyForTheBlobsOfThePlatform(t *testing.T) {
	want, other := imageFor(t, "amd64", 2), imageFor(t, "arm64", 2)
	dir := t.TempDir()
	if _, err := layout.Write(dir, indexOf(t, map[string]v1.Image{"arm64": other, "amd64": want})); err != nil {
		t.Fatal(err)
	}
	manifest, err := other.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := other.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range []v1.Hash{digest, manifest.Config.Digest, manifest.Layers[0].Digest, manifest.Layers[1].Digest} {
		if err := os.Remove(filepath.Join(dir, "blobs", "sha256", blob.Hex)); err != nil {
			t.Fatal(err)
		}
	}
	s := tarOf(t, dir)
	found, err := oci.Find(t.Context(), s, linux("amd64"), "")
	if err != nil {
		t.Fatal(err)
	}
	isImage(t, found, want)
	if _, err := oci.Find(t.Context(), s, linux("arm64"), ""); banger.CodeOf(err) != banger.CodeNotFound || !strings.Contains(err.Error(), digest.Hex) {
		t.Errorf("an image whose blobs are not there: %v, want the digest %s", err, digest)
	}
}

// tarOf returns the source of an archive of a directory.
func tarOf(t *testing.T, dir string) oci.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	writeTar(t, f, dir)
	return fromFile(t, f)
}

func fromFile(t *testing.T, f *os.File) oci.Source {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s, err := oci.FromTarball("the archive", f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// saved returns the source of what docker save wrote until version 24.
func saved(t *testing.T, image v1.Image) oci.Source {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "saved.tar"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := tarball.Write(name.MustParseReference("x:y"), image, f); err != nil {
		t.Fatal(err)
	}
	return fromFile(t, f)
}

func TestFind_RefusesWhatIsNotForThePlatform(t *testing.T) {
	arm := imageFor(t, "arm64", 1)
	wrong := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	other := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{MediaType: types.OCIManifestSchema1}})
	two := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: arm}, mutate.IndexAddendum{Add: imageFor(t, "amd64", 1)})
	for name, c := range map[string]struct {
		index v1.ImageIndex
		code  banger.Code
		says  string
	}{
		"another":                   {indexOf(t, map[string]v1.Image{"arm64": arm, "riscv64": arm}), banger.CodeMismatch, "linux/riscv64"},
		"none":                      {indexOf(t, nil), banger.CodeInvalid, "no image"},
		"one that says it is":       {wrong, banger.CodeMismatch, "linux/arm64"},
		"one that does not say":     {other, banger.CodeMismatch, "linux/arm64"},
		"two that say nothing":      {two, banger.CodeAmbiguous, "2 images"},
		"an index in which is none": {mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: indexOf(t, nil)}), banger.CodeInvalid, "no image"},
	} {
		dir := t.TempDir()
		if _, err := layout.Write(dir, c.index); err != nil {
			t.Fatal(err)
		}
		s, err := oci.FromLayout("it", os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		_, err = oci.Find(t.Context(), s, linux("amd64"), "")
		if banger.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s, %q", name, err, c.code, c.says)
		}
	}
}

// counted counts the bytes of blobs that have come from a source.
type counted struct {
	oci.Source
	came int64
}

func (c *counted) Blob(ctx context.Context, d v1.Descriptor, from int64) (io.ReadCloser, error) {
	blob, err := c.Source.Blob(ctx, d, from)
	return &counting{blob, c}, err
}

type counting struct {
	io.ReadCloser
	c *counted
}

func (r *counting) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.c.came += int64(n)
	return n, err
}

// brittle breaks off each answer with a blob after limit bytes, if it is not 0.
type brittle struct {
	http.Handler
	limit atomic.Int64
	plain bool // it knows no ranges
}

func (c *brittle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
		c.Handler.ServeHTTP(w, r)
		return
	}
	if c.plain {
		r.Header.Del("Range")
	}
	c.Handler.ServeHTTP(&limited{ResponseWriter: w, c: c, left: c.limit.Load()}, r)
}

type limited struct {
	http.ResponseWriter
	c    *brittle
	left int64
}

func (l *limited) Write(p []byte) (int, error) {
	limit := l.c.limit.Load()
	if limit > 0 {
		p = p[:min(int64(len(p)), l.left)]
	}
	n, err := l.ResponseWriter.Write(p)
	if l.left -= int64(n); limit > 0 && l.left == 0 {
		_ = http.NewResponseController(l.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func TestFetch_ContinuesWhereTheRegistryBrokeOff(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("without ranges %v", plain), func(t *testing.T) {
			c := &brittle{plain: plain}
			ref := host(t, func(h http.Handler) http.Handler { c.Handler = h; return c }) + "/image"
			image := imageFor(t, "amd64", 1)
			push(t, ref, indexOf(t, map[string]v1.Image{"amd64": image}))
			found, err := oci.Find(t.Context(), from(t, ref), linux("amd64"), "")
			if err != nil {
				t.Fatal(err)
			}
			c.limit.Store(100 << 10)
			var advanced int64
			blobs := oci.NewBlobs(t.TempDir())
			source := &counted{Source: found.Source}
			path, err := blobs.Fetch(t.Context(), source, found.Layers[0], func(n int64) { advanced += n })
			if plain { // each answer begins with the same bytes
				if banger.CodeOf(err) != banger.CodeUnavailable {
					t.Errorf("an answer that always breaks off: %v", err)
				}
				c.limit.Store(0)
				path, err = blobs.Fetch(t.Context(), found.Source, found.Layers[0], nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil || digestOf(t, data) != found.Layers[0].Digest {
				t.Errorf("it is not the blob: %v", err)
			}
			if size := found.Layers[0].Size; !plain && (source.came != size || advanced != size) {
				t.Errorf("of %d bytes %d came, and %d were reported", size, source.came, advanced)
			}
		})
	}
}

func TestFetch_ThatWasEndedIsContinuedByTheNext(t *testing.T) {
	c := &brittle{}
	ref := host(t, func(h http.Handler) http.Handler { c.Handler = h; return c }) + "/image"
	push(t, ref, indexOf(t, map[string]v1.Image{"amd64": imageFor(t, "amd64", 1)}))
	found, err := oci.Find(t.Context(), from(t, ref), linux("amd64"), "")
	if err != nil {
		t.Fatal(err)
	}
	c.limit.Store(64 << 10)
	dir := t.TempDir()
	source := &counted{Source: found.Source}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = oci.NewBlobs(dir).Fetch(ctx, source, found.Layers[0], func(n int64) {
		if n > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a fetch that was ended: %v", err)
	}
	if _, ok := oci.NewBlobs(dir).Path(found.Layers[0].Digest); ok {
		t.Error("what is not whole has the name of the blob")
	}
	c.limit.Store(0)
	if _, err := oci.NewBlobs(dir).Fetch(t.Context(), source, found.Layers[0], nil); err != nil {
		t.Fatal(err)
	}
	if size := found.Layers[0].Size; source.came != size {
		t.Errorf("of %d bytes %d came", size, source.came)
	}
}

// lying is a source whose blobs are not what they are called.
type lying struct {
	oci.Source
	data []byte
}

func (l lying) Blob(context.Context, v1.Descriptor, int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.data)), nil
}

func (lying) String() string { return "a liar" }

func TestFetch_KeepsNothingThatIsNotWhatItIsCalled(t *testing.T) {
	right := []byte("right")
	d := v1.Descriptor{Digest: digestOf(t, right), Size: int64(len(right)), MediaType: types.OCILayer}
	for name, data := range map[string]string{"other": "wrong", "longer": "right and more", "shorter": "righ", "empty": ""} {
		dir := t.TempDir()
		blobs := oci.NewBlobs(dir)
		if _, err := blobs.Fetch(t.Context(), lying{data: []byte(data)}, d, nil); err == nil {
			t.Errorf("%s: it is taken", name)
		}
		if _, ok := blobs.Path(d.Digest); ok {
			t.Errorf("%s: it is kept", name)
		}
		if _, err := blobs.Fetch(t.Context(), lying{data: right}, d, nil); err != nil && name != "shorter" {
			t.Errorf("%s: what is right is not taken then: %v", name, err)
		}
	}
	for _, digest := range []string{"../../etc/passwd", strings.Repeat("g", 64), ""} {
		d.Digest = v1.Hash{Algorithm: "sha256", Hex: digest}
		if _, err := oci.NewBlobs(t.TempDir()).Fetch(t.Context(), lying{}, d, nil); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("a digest %q: %v", digest, err)
		}
	}
}

func TestRegistry_ErrorsNameTheNextStep(t *testing.T) {
	status := func(code int) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/manifests/") {
					w.WriteHeader(code)
					return
				}
				h.ServeHTTP(w, r)
			})
		}
	}
	for name, c := range map[string]struct {
		ref  string
		code banger.Code
		hint string
	}{
		"a name":             {"UPPER CASE", banger.CodeInvalid, "node:22"},
		"an unknown image":   {host(t, nil) + "/none", banger.CodeNotFound, "tag"},
		"nobody there":       {"127.0.0.1:1/x", banger.CodeUnavailable, "image import"},
		"a wrong password":   {host(t, status(http.StatusUnauthorized)) + "/x", banger.CodeMissing, "docker login"},
		"too many requests":  {host(t, status(http.StatusTooManyRequests)) + "/x", banger.CodeUnavailable, "later"},
		"a registry is down": {host(t, status(http.StatusBadGateway)) + "/x", banger.CodeUnavailable, "later"},
	} {
		s, err := oci.Registry{}.From(c.ref)
		if err == nil {
			_, err = oci.Find(t.Context(), s, linux("amd64"), "")
		}
		var e *banger.Error
		if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Hint, c.hint) || !strings.Contains(e.Message, c.ref) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

// writeTar writes an archive of a directory.
func writeTar(t *testing.T, w io.Writer, dir string) {
	t.Helper()
	archive := tar.NewWriter(w)
	if err := archive.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
}
