package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"banger"
	"banger/internal/image/ext4"
	"banger/internal/image/layer"
)

// layerOf returns a layer whose blob is an archive as pack makes it.
func layerOf(t *testing.T, pack func([]byte) []byte, entries ...tar.Header) layer.Layer {
	t.Helper()
	plain := archive(t, entries)
	sum := sha256.Sum256(plain)
	blob := pack(plain)
	return layer.Layer{DiffID: "sha256:" + hex.EncodeToString(sum[:]), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(blob)), nil
	}}
}

func asIs(b []byte) []byte { return b }

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// skippable is zstd that begins with a frame that is to be skipped, as eStargz and others
// have it.
func skippable(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(b, []byte{0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3})
}

func twoMembers(b []byte) []byte { return append(gzipped(b[:1000]), gzipped(b[1000:])...) }

func stacks(t *testing.T) layer.Stacks {
	return layer.Stacks{Dir: filepath.Join(t.TempDir(), "layers"), Limits: layer.DefaultLimits(), FromTar: ext4.FromTar}
}

func TestStacks_ShareTheLayersWithWhichTheyBegin(t *testing.T) {
	s := stacks(t)
	base := layerOf(t, gzipped, reg("base", strings.Repeat("1", 5000)))
	one, other := layerOf(t, skippable, reg("one", "1")), layerOf(t, twoMembers, reg("other", "2"))
	first, err := s.Add(t.Context(), []layer.Layer{base, one}, nil)
	if err != nil {
		t.Fatal(err)
	}
	never := base
	never.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("it is read again") }
	second, err := s.Add(t.Context(), []layer.Layer{never, other}, nil)
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := s.Add(t.Context(), []layer.Layer{other, base}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first[0] != second[0] || first[1] == second[1] || slices.Contains(swapped, first[0]) {
		t.Errorf("the layers are %q, %q and %q", first, second, swapped)
	}
	if entries, err := os.ReadDir(s.Dir); err != nil || len(entries) != 5 {
		t.Errorf("%d files are there, want one for each layer: %v", len(entries), err)
	}
}

func TestStacks_LeaveNothingOfWhatIsRefused(t *testing.T) {
	right := layerOf(t, gzipped, reg("x", "1"))
	other := layerOf(t, gzipped, reg("x", "2"))
	other.DiffID = right.DiffID
	cut := layerOf(t, func(b []byte) []byte { z := gzipped(b); return z[:len(z)-9] }, reg("x", strings.Repeat("1", 9000)))
	torn := layerOf(t, func(b []byte) []byte { return b[:700] }, reg("x", strings.Repeat("1", 9000)))
	empty := layerOf(t, func([]byte) []byte { return nil }, reg("x", "1"))
	badLink := layerOf(t, asIs, hard("x", "none"))
	away := right
	away.Open = func(context.Context) (io.ReadCloser, error) {
		return nil, banger.Errorf(banger.CodeUnavailable, "away")
	}
	named := right
	named.DiffID = "sha256:../../../etc/passwd"
	for name, l := range map[string]layer.Layer{
		"another digest": other, "cut off": cut, "torn": torn, "empty": empty, "a link to nothing": badLink, "not to be had": away, "no digest": named,
	} {
		s := stacks(t)
		if _, err := s.Add(t.Context(), []layer.Layer{l}, nil); err == nil {
			t.Errorf("%s: it is taken", name)
		}
		if entries, err := os.ReadDir(s.Dir); err != nil || len(entries) != 0 {
			t.Errorf("%s: %v is left: %v", name, entries, err)
		}
	}
}

func TestStacks_TakeNoMoreThanTheirLimits(t *testing.T) {
	many := []tar.Header{reg("a", "1"), reg("b", "2"), reg("c", "3")}
	for name, limits := range map[string]layer.Limits{
		"entries": {Entries: 2, NameBytes: 1 << 20, TarBytes: 1 << 20},
		"names":   {Entries: 9, NameBytes: 2, TarBytes: 1 << 20},
		"bytes":   {Entries: 9, NameBytes: 1 << 20, TarBytes: 3 << 10},
	} {
		s := stacks(t)
		s.Limits = limits
		if _, err := s.Add(t.Context(), []layer.Layer{layerOf(t, gzipped, many...)}, nil); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
