package bench

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The image that is measured: 10 layers of 60 directories of 100 files, a GiB. With -short
// it has a tenth of the directories.
const (
	layersOfImage  = 10
	dirsOfLayer    = 60
	filesOfDir     = 100
	leastFileBytes = 1000
	moreFileBytes  = 33_800
)

func dirs() int {
	if testing.Short() {
		return dirsOfLayer / 10
	}
	return dirsOfLayer
}

// words are bytes that shrink to three quarters, as programs do.
type words struct {
	random *rand.Rand
	text   []byte
}

func newWords(seed uint64) *words {
	w := &words{rand.New(rand.NewPCG(seed, 2)), make([]byte, 1<<20)}
	for i := range w.text {
		w.text[i] = byte(w.random.Uint32()) & 0x3F
	}
	return w
}

// file returns the content of a file of an image.
func (w *words) file() []byte {
	size := leastFileBytes + w.random.IntN(moreFileBytes)
	at := w.random.IntN(len(w.text) - size)
	return w.text[at : at+size]
}

// layerOf makes a layer of files below a directory, on top of which come those given.
func layerOf(b *testing.B, dir string, dirs int, w *words, more map[string]string) v1.Layer {
	b.Helper()
	var archive bytes.Buffer
	t := tar.NewWriter(&archive)
	put := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		err := t.WriteHeader(&h)
		if err == nil {
			_, err = t.Write(data)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	for d := range dirs {
		put(tar.Header{Name: fmt.Sprintf("%s/d%d/", dir, d), Typeflag: tar.TypeDir, Mode: 0o755}, nil)
		for f := range filesOfDir {
			put(tar.Header{Name: fmt.Sprintf("%s/d%d/f%d", dir, d, f), Typeflag: tar.TypeReg, Mode: 0o644}, w.file())
		}
	}
	for name, from := range more {
		data, err := os.ReadFile(from)
		if err != nil {
			b.Fatal(err)
		}
		put(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755}, data)
	}
	if err := t.Close(); err != nil {
		b.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// imageOf makes an image for this host of layers.
func imageOf(b *testing.B, layers ...v1.Layer) v1.Image {
	b.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(image, layers...)
	var config *v1.ConfigFile
	if err == nil {
		config, err = image.ConfigFile()
	}
	if err == nil {
		config = config.DeepCopy()
		config.OS, config.Architecture = "linux", runtime.GOARCH
		image, err = mutate.ConfigFile(image, config)
	}
	if err != nil {
		b.Fatal(err)
	}
	return image
}

// bigImage makes the image. One can run sleep in it.
func bigImage(b *testing.B) v1.Image {
	b.Helper()
	w := newWords(1)
	var layers []v1.Layer
	for n := range layersOfImage {
		more := map[string]string{}
		if n == 0 {
			for _, file := range []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libresolv.so.2", "/lib64/ld-linux-x86-64.so.2"} {
				more[file] = file
			}
			more["bin/sleep"], more["bin/sh"] = "/bin/busybox", "/bin/busybox"
		}
		layers = append(layers, layerOf(b, fmt.Sprintf("l%d", n), dirs(), w, more))
	}
	return imageOf(b, layers...)
}

// layoutOf writes an image into a directory in the OCI image layout, with the tag x.
func layoutOf(b *testing.B, image v1.Image) string {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "layout")
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = path.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "x"}))
	}
	if err != nil {
		b.Fatal(err)
	}
	return dir
}
