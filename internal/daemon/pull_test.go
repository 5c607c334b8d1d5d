//go:build !unit

package daemon

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"banger"
	"banger/internal/image"
	"banger/internal/paths"
)

// newDaemon returns a daemon without VMs, of an installation in a directory.
func newDaemon(t *testing.T, dir string, transport http.RoundTripper) *Daemon {
	t.Helper()
	d := openDaemon(t, dir, transport)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// openDaemon is newDaemon for whoever closes it.
func openDaemon(t *testing.T, dir string, transport http.RoundTripper) *Daemon {
	t.Helper()
	p := paths.Paths{Config: filepath.Join(dir, "config"), Data: filepath.Join(dir, "data"), State: filepath.Join(dir, "state")}
	if err := p.Create(); err != nil {
		t.Fatal(err)
	}
	d, err := New(t.Context(), Parts{Paths: p, Registries: transport, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// registryServer is a registry that counts requests and does to them what a test wants.
type registryServer struct {
	*httptest.Server
	blobs atomic.Int64 // that were asked for
	sent  atomic.Int64 // bytes of them
	wrap  func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newRegistry(t *testing.T, secure bool) *registryServer {
	t.Helper()
	next := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := &registryServer{}
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			s.blobs.Add(1)
			w = &countingWriter{w, &s.sent}
		}
		next.ServeHTTP(w, r)
	})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.wrap != nil {
			s.wrap(w, r, counted)
			return
		}
		counted.ServeHTTP(w, r)
	})
	if s.Server = httptest.NewUnstartedServer(handler); secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

type countingWriter struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.sent.Add(int64(n))
	return n, err
}

// ref is the name of an image in the registry.
func (s *registryServer) ref(image string) string {
	return strings.TrimPrefix(strings.TrimPrefix(s.URL, "http://"), "https://") + "/" + image
}

func (s *registryServer) push(t *testing.T, image string, i v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(s.ref(image))
	if err == nil {
		err = remote.Write(ref, i, remote.WithTransport(s.Client().Transport))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// imageOf makes an image for this host of layers, which has a configuration.
func imageOf(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	i := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	i, err := mutate.AppendLayers(i, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return configured(t, i, func(c *v1.ConfigFile) {
		c.OS, c.Architecture = "linux", runtime.GOARCH
		c.Config = v1.Config{
			Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{"echo hello"}, Env: []string{"PATH=/bin", "GREETING=a b"},
			User: "1000:1000", WorkingDir: "/srv", StopSignal: "SIGINT",
		}
	})
}

func configured(t *testing.T, i v1.Image, change func(*v1.ConfigFile)) v1.Image {
	t.Helper()
	c, err := i.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	change(c)
	if i, err = mutate.ConfigFile(i, c); err != nil {
		t.Fatal(err)
	}
	return i
}

func randomLayer(t *testing.T, bytes int64) v1.Layer {
	t.Helper()
	l, err := random.Layer(bytes, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func pull(t *testing.T, d *Daemon, ref string) banger.Image {
	t.Helper()
	i, err := d.Images.PullImage(t.Context(), banger.PullRequest{Reference: ref}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func layersDir(d *Daemon) string    { return image.LayersDir(d.parts.Paths) }
func downloadsDir(d *Daemon) string { return image.DownloadsDir(d.parts.Paths) }

// stored lists what an installation keeps of images, without what is always there.
func stored(t *testing.T, d *Daemon) (files []string) {
	t.Helper()
	data := d.parts.Paths.Data
	err := filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if name, _ := filepath.Rel(data, path); err == nil && !e.IsDir() && e.Name() != "lock" {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPullImage_HasTheImageAndSaysWhatItIs(t *testing.T) {
	for _, secure := range []bool{false, true} {
		r := newRegistry(t, secure)
		image := imageOf(t, randomLayer(t, 100<<10), randomLayer(t, 10<<10))
		r.push(t, "team/app:1", image)
		d := newDaemon(t, t.TempDir(), r.Client().Transport)

		var reports []banger.PullProgress
		got, err := d.Images.PullImage(t.Context(), banger.PullRequest{Reference: r.ref("team/app:1")}, func(p banger.PullProgress) { reports = append(reports, p) })
		if err != nil {
			t.Fatal(err)
		}
		digest, errDigest := image.Digest()
		config, errConfig := image.ConfigName()
		c, errFile := image.ConfigFile()
		if err := errors.Join(errDigest, errConfig, errFile); err != nil {
			t.Fatal(err)
		}
		o := got.OCI
		if o == nil || o.Digest != digest.String() || o.ConfigDigest != config.String() || o.Platform != "linux/"+runtime.GOARCH || got.Name != r.ref("team/app:1") {
			t.Fatalf("the image is %+v, %+v", got, o)
		}
		want := banger.ImageConfig{
			Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{"echo hello"}, Env: []string{"PATH=/bin", "GREETING=a b"},
			User: "1000:1000", WorkingDir: "/srv", StopSignal: "SIGINT",
		}
		if !slices.Equal(o.Config.Entrypoint, want.Entrypoint) || !slices.Equal(o.Config.Cmd, want.Cmd) || !slices.Equal(o.Config.Env, want.Env) ||
			o.Config.User != want.User || o.Config.WorkingDir != want.WorkingDir || o.Config.StopSignal != want.StopSignal {
			t.Errorf("its configuration is %+v, want %+v", o.Config, want)
		}
		var sum int64
		for n, l := range o.Layers {
			if l.Digest != c.RootFS.DiffIDs[n].String() || l.SizeBytes == 0 {
				t.Errorf("layer %d is %+v", n, l)
			}
			sum += l.SizeBytes
		}
		if len(o.Layers) != 2 || got.SizeBytes != sum {
			t.Errorf("%d layers, %d bytes of %d", len(o.Layers), got.SizeBytes, sum)
		}
		if files := stored(t, d); len(files) != 3 { // a manifest and two layers
			t.Errorf("what is kept is %v", files)
		}
		if err := d.Images.Verify(t.Context(), got.ID); err != nil {
			t.Error(err)
		}
		checkReports(t, reports, image)
	}
}

// checkReports checks that what was reported of a pull is all of it, in order.
func checkReports(t *testing.T, reports []banger.PullProgress, image v1.Image) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	stages, most := map[int][]banger.PullStage{}, map[int]int64{}
	for _, p := range reports {
		if s := stages[p.Layer]; len(s) == 0 || s[len(s)-1] != p.Stage {
			stages[p.Layer] = append(s, p.Stage)
		}
		if p.Stage == banger.PullFetching {
			most[p.Layer] = max(most[p.Layer], p.Bytes)
		}
	}
	if !slices.Equal(stages[0], []banger.PullStage{banger.PullResolving, banger.PullDone}) {
		t.Errorf("stages of the image are %v", stages[0])
	}
	for n, l := range layers {
		size, err := l.Size()
		if err != nil || most[n+1] != size {
			t.Errorf("of layer %d, %d bytes of %d are reported, %v", n+1, most[n+1], size, err)
		}
		if !slices.Equal(stages[n+1], []banger.PullStage{banger.PullFetching, banger.PullUnpacking, banger.PullStored}) {
			t.Errorf("stages of layer %d are %v", n+1, stages[n+1])
		}
	}
}

func TestPullImage_SharesLayersAndFreesThemWithTheLastImage(t *testing.T) {
	r := newRegistry(t, false)
	base := randomLayer(t, 200<<10)
	r.push(t, "base", imageOf(t, base))
	r.push(t, "app", imageOf(t, base, randomLayer(t, 1<<10)))
	d := newDaemon(t, t.TempDir(), nil)
	pull(t, d, r.ref("base"))
	before := r.sent.Load()
	app := pull(t, d, r.ref("app"))
	if sent := r.sent.Load() - before; sent > 20<<10 {
		t.Errorf("%d bytes came for one layer of 1 KiB", sent)
	}
	if err := d.Images.DeleteImage(t.Context(), r.ref("base")); err != nil {
		t.Fatal(err)
	}
	if err := d.Images.Verify(t.Context(), app.ID); err != nil {
		t.Errorf("an image lost a layer with another one: %v", err)
	}
	if err := d.Images.DeleteImage(t.Context(), r.ref("app")); err != nil {
		t.Fatal(err)
	}
	if files := stored(t, d); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

// An index may have one image in two compressions, which share a configuration: each is had
// in full, and what is in them is stored once.
func TestPullImage_OfTwoCompressionsSharesTheLayers(t *testing.T) {
	r := newRegistry(t, false)
	gzip, zstd := imageOf(t, zeros(t, 50<<10, false)), imageOf(t, zeros(t, 50<<10, true))
	platform := &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	ref, err := name.ParseReference(r.ref("app:both"))
	if err == nil {
		err = remote.WriteIndex(ref, mutate.AppendManifests(empty.Index,
			mutate.IndexAddendum{Add: gzip, Descriptor: v1.Descriptor{Platform: platform}}, mutate.IndexAddendum{Add: zstd, Descriptor: v1.Descriptor{Platform: platform}}))
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, err := zstd.Digest()
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, t.TempDir(), nil)
	first, second := pull(t, d, r.ref("app:both")), pull(t, d, r.ref("app@"+digest.String()))
	if first.OCI.ConfigDigest != second.OCI.ConfigDigest || first.OCI.Layers[0] != second.OCI.Layers[0] || first.OCI.Digest == second.OCI.Digest {
		t.Errorf("the images are %+v and %+v", first.OCI, second.OCI)
	}
	for _, i := range []banger.Image{first, second} {
		if err := d.Images.Verify(t.Context(), i.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestPullImage_ThatWasInterruptedIsContinuedByTheNextDaemon(t *testing.T) {
	r := newRegistry(t, false)
	first, second := randomLayer(t, 1<<10), randomLayer(t, 3<<20)
	image := imageOf(t, first, second)
	r.push(t, "app", image)
	dir := t.TempDir()
	d := openDaemon(t, dir, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user went home")
	_, err := d.Images.PullImage(ctx, banger.PullRequest{Reference: r.ref("app")}, func(p banger.PullProgress) {
		if p.Layer == 2 && p.Bytes > 0 {
			cancel(cause)
		}
	})
	if !errors.Is(err, cause) {
		t.Fatalf("an interrupted pull: %v", err)
	}
	if images, err := d.Images.ListImages(t.Context()); err != nil || len(images) != 0 {
		t.Errorf("there is an image: %v, %v", images, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = newDaemon(t, dir, nil)
	size, err := second.Size()
	if err != nil {
		t.Fatal(err)
	}
	before := r.sent.Load()
	pull(t, d, r.ref("app"))
	if sent := r.sent.Load() - before; sent >= size {
		t.Errorf("%d bytes came the second time, of %d", sent, size)
	}
	if files := stored(t, d); len(files) != 3 {
		t.Errorf("what is kept is %v", files)
	}
}

func TestPullImage_AtOnceIsOnePull(t *testing.T) {
	r := newRegistry(t, false)
	r.push(t, "app", imageOf(t, randomLayer(t, 100<<10), randomLayer(t, 100<<10)))
	d := newDaemon(t, t.TempDir(), nil)
	var group sync.WaitGroup
	ids := make([]banger.ImageID, 8)
	for n := range ids {
		group.Go(func() {
			image, err := d.Images.PullImage(t.Context(), banger.PullRequest{Reference: r.ref("app")}, nil)
			if err != nil {
				t.Error(err)
			}
			ids[n] = image.ID
		})
	}
	group.Wait()
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("the images are %v", ids)
	}
	if blobs := r.blobs.Load() - int64(len(ids)); blobs != 2 { // each asks for the configuration
		t.Errorf("%d layers were asked for, of 2", blobs)
	}
}

func TestPullImage_RefusedSaysTheNextStepAndLeavesNothing(t *testing.T) {
	r := newRegistry(t, false)
	good := imageOf(t, randomLayer(t, 10<<10))
	r.push(t, "good", good)
	r.push(t, "arm", configured(t, good, func(c *v1.ConfigFile) { c.Architecture = "s390x" }))
	r.push(t, "nul", configured(t, good, func(c *v1.ConfigFile) { c.Config.Env = []string{"A=\x00"} }))
	r.push(t, "env", configured(t, good, func(c *v1.ConfigFile) { c.Config.Env = []string{"no value"} }))
	r.push(t, "big-config", configured(t, good, func(c *v1.ConfigFile) { c.Config.Cmd = []string{strings.Repeat("x", 40<<10)} }))
	r.push(t, "diff", configured(t, good, func(c *v1.ConfigFile) { c.RootFS.DiffIDs[0].Hex = strings.Repeat("0", 64) }))
	r.push(t, "not-a-tar", imageOf(t, static.NewLayer([]byte(strings.Repeat("x", 2048)), types.OCIUncompressedLayer)))
	two := imageOf(t, randomLayer(t, 10<<10), static.NewLayer([]byte(strings.Repeat("y", 2048)), types.OCIUncompressedLayer))
	r.push(t, "second-not-a-tar", two)
	r.push(t, "private", good)
	r.push(t, "huge-manifest", good)
	r.push(t, "huge-config", configured(t, good, func(c *v1.ConfigFile) { c.Author = strings.Repeat("x", 5<<20) }))
	r.push(t, "bomb", imageOf(t, zeros(t, 8<<20, false)))
	r.push(t, "zstd-bomb", imageOf(t, zeros(t, 8<<20, true)))
	manifest, err := good.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	deep := manifest.DeepCopy()
	deep.Layers = slices.Repeat(deep.Layers, 200)
	r.put(t, "good", "deep", deep)
	r.push(t, "swapped", imageOf(t, randomLayer(t, 20<<10)))
	r.wrap = func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		switch {
		case strings.Contains(q.URL.Path, "/private/"):
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(q.URL.Path, "/huge-manifest/manifests/"):
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
			_, _ = io.CopyN(w, endless{}, 1<<40)
		case strings.Contains(q.URL.Path, "/swapped/blobs/"):
			swap(w, q, next)
		default:
			next.ServeHTTP(w, q)
		}
	}
	d := newDaemon(t, t.TempDir(), nil)
	for name, c := range map[string]struct {
		request banger.PullRequest
		code    banger.Code
		says    string
	}{
		"an unknown image":         {banger.PullRequest{Reference: r.ref("none")}, banger.CodeNotFound, "name and the tag"},
		"an unknown tag":           {banger.PullRequest{Reference: r.ref("good:none")}, banger.CodeNotFound, "name and the tag"},
		"a registry that is away":  {banger.PullRequest{Reference: "127.0.0.1:1/x"}, banger.CodeUnavailable, "image import"},
		"what is not a name":       {banger.PullRequest{Reference: "A B"}, banger.CodeInvalid, "node:22"},
		"wrong credentials":        {banger.PullRequest{Reference: r.ref("private")}, banger.CodeMissing, "docker login"},
		"a digest that is not its": {banger.PullRequest{Reference: r.ref("good@sha256:" + strings.Repeat("0", 64))}, banger.CodeNotFound, "sha256"},
		"a layer that is another":  {banger.PullRequest{Reference: r.ref("swapped")}, banger.CodeCorrupt, "digest"},
		"another CPU":              {banger.PullRequest{Reference: r.ref("arm")}, banger.CodeMismatch, "architecture of its host"},
		"another CPU, asked for":   {banger.PullRequest{Reference: r.ref("good"), Platform: "linux/s390x"}, banger.CodeMismatch, "leave out"},
		"a platform that is none":  {banger.PullRequest{Reference: r.ref("good"), Platform: "a/b/c/d/e"}, banger.CodeInvalid, "platform"},
		"a NUL in a variable":      {banger.PullRequest{Reference: r.ref("nul")}, banger.CodeInvalid, "NUL"},
		"a variable without value": {banger.PullRequest{Reference: r.ref("env")}, banger.CodeInvalid, "NAME=VALUE"},
		"too long a configuration": {banger.PullRequest{Reference: r.ref("big-config")}, banger.CodeInvalid, "configuration"},
		"another DiffID":           {banger.PullRequest{Reference: r.ref("diff")}, banger.CodeCorrupt, "digest"},
		"a layer that is not one":  {banger.PullRequest{Reference: r.ref("not-a-tar")}, banger.CodeInvalid, "read layer"},
		"one above a good one":     {banger.PullRequest{Reference: r.ref("second-not-a-tar")}, banger.CodeInvalid, "read layer"},
		"a manifest without end":   {banger.PullRequest{Reference: r.ref("huge-manifest")}, banger.CodeInvalid, "4194304 bytes"},
		"a large configuration":    {banger.PullRequest{Reference: r.ref("huge-config")}, banger.CodeInvalid, "document"},
		"200 layers":               {banger.PullRequest{Reference: r.ref("good:deep")}, banger.CodeInvalid, "more than 128"},
		"a bomb":                   {banger.PullRequest{Reference: r.ref("bomb"), MaxBytes: 4 << 20}, banger.CodeInvalid, "--max-size"},
		"a bomb of zstd":           {banger.PullRequest{Reference: r.ref("zstd-bomb"), MaxBytes: 4 << 20}, banger.CodeInvalid, "--max-size"},
		"less than nothing":        {banger.PullRequest{Reference: r.ref("good"), MaxBytes: -1}, banger.CodeInvalid, "negative"},
		"a name that is not one":   {banger.PullRequest{Reference: r.ref("good"), Name: "-x"}, banger.CodeInvalid, "name"},
	} {
		_, err := d.Images.PullImage(t.Context(), c.request, nil)
		e, _ := errors.AsType[*banger.Error](err)
		if e == nil || banger.CodeOf(err) != c.code || !strings.Contains(err.Error()+e.Hint, c.says) {
			t.Errorf("%s: %v, want %s and %q", name, err, c.code, c.says)
		}
		if files := stored(t, d); len(files) != 0 {
			t.Errorf("%s: left behind: %v", name, files)
		}
	}
	if images, err := d.Images.ListImages(t.Context()); err != nil || len(images) != 0 {
		t.Errorf("images are %v, %v", images, err)
	}
}

// zeros is a layer of one file of zeros, which is next to nothing compressed.
func zeros(t *testing.T, bytes int, zstd bool) v1.Layer {
	t.Helper()
	var archive strings.Builder
	w := tar.NewWriter(&archive)
	err := w.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(bytes)})
	if err == nil {
		_, err = w.Write(make([]byte, bytes))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	options := []tarball.LayerOption{tarball.WithMediaType(types.OCILayer)}
	if zstd {
		options = []tarball.LayerOption{tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd)}
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(archive.String())), nil }, options...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// endless yields spaces.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// swap answers with as many other bytes as the layer has.
func swap(w http.ResponseWriter, q *http.Request, next http.Handler) {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, q)
	body := answer.Body.Bytes()
	if len(body) > 10<<10 {
		body[len(body)/2] ^= 1
	}
	_, _ = w.Write(body)
}

// An image whose layers cannot fit on the disk is refused before any of them comes.
func TestPullImage_LargerThanTheHostsRoomIsRefusedBeforeItComes(t *testing.T) {
	r := newRegistry(t, false)
	image := imageOf(t, randomLayer(t, 10<<10))
	r.push(t, "app", image)
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int64]banger.Code{1 << 41: banger.CodeMissing, 1 << 50: banger.CodeInvalid, -1: banger.CodeInvalid} {
		lying := manifest.DeepCopy()
		lying.Layers[0].Size = size
		r.put(t, "app", "lying", lying)
		d := newDaemon(t, t.TempDir(), nil)
		before := r.blobs.Load()
		_, err = d.Images.PullImage(t.Context(), banger.PullRequest{Reference: r.ref("app:lying")}, nil)
		if banger.CodeOf(err) != want || r.blobs.Load() != before+1 || len(stored(t, d)) != 0 {
			t.Errorf("a layer of %d bytes: %v after %d blobs; left behind: %v", size, err, r.blobs.Load()-before, stored(t, d))
		}
	}
}

// put gives the registry a manifest as it is.
func (s *registryServer) put(t *testing.T, repository, tag string, m *v1.Manifest) {
	t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/v2/"+repository+"/manifests/"+tag, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", string(m.MediaType))
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("the registry answers %s", res.Status)
	}
}
