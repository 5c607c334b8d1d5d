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
	return layer.Stacks{Dir: filepath.Join(t.TempDir(), "layers"), FromTar: ext4.FromTar}
}

func TestStacks_ShareTheLayersWithWhichTheyBegin(t *testing.T) {
	s := stacks(t)
	base := layerOf(t, gzipped, reg("base", strings.Repeat("1", 5000)))
	one, other := layerOf(t, skippable, reg("one", "1")), layerOf(t, twoMembers, reg("other", "2"))
	first, err := s.Add(t.Context(), []layer.Layer{base, one}, layer.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	never := base
	never.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("it is read again") }
	second, err := s.Add(t.Context(), []layer.Layer{never, other}, layer.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := s.Add(t.Context(), []layer.Layer{other, base}, layer.DefaultLimits(), nil)
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
		if _, err := s.Add(t.Context(), []layer.Layer{l}, layer.DefaultLimits(), nil); err == nil {
			t.Errorf("%s: it is taken", name)
		}
		if entries, err := os.ReadDir(s.Dir); err != nil || len(entries) != 0 {
			t.Errorf("%s: %v is left: %v", name, entries, err)
		}
	}
}

func TestStacks_TakeNoMoreThanTheirLimits(t *testing.T) {
	many := layerOf(t, gzipped, reg("a", "1"), reg("b", "2"), reg("c", "3"))
	zeros := strings.Repeat("0", 1<<20)
	enough := layer.Limits{Entries: 9, NameBytes: 1 << 20, TarBytes: 1 << 30}
	but := func(change func(*layer.Limits)) layer.Limits {
		l := enough
		change(&l)
		return l
	}
	for name, c := range map[string]struct {
		limits layer.Limits
		says   string // "" is taken
		layers []layer.Layer
	}{
		"entries":               {but(func(l *layer.Limits) { l.Entries = 2 }), "entries", []layer.Layer{many}},
		"names":                 {but(func(l *layer.Limits) { l.NameBytes = 2 }), "names", []layer.Layer{many}},
		"bytes":                 {but(func(l *layer.Limits) { l.TarBytes = 3 << 10 }), "3072 bytes", []layer.Layer{many}},
		"bytes of all layers":   {but(func(l *layer.Limits) { l.TarBytes = 8 << 10 }), "bytes", []layer.Layer{many, layerOf(t, gzipped, reg("d", strings.Repeat("4", 5<<10)))}},
		"a bomb of gzip":        {but(func(l *layer.Limits) { l.FreeBytes = 64 << 10 }), "fill the disk", []layer.Layer{layerOf(t, gzipped, reg("z", zeros))}},
		"a bomb of many gzips":  {but(func(l *layer.Limits) { l.FreeBytes = 64 << 10 }), "fill the disk", []layer.Layer{layerOf(t, twoMembers, reg("z", zeros))}},
		"a bomb of zstd":        {but(func(l *layer.Limits) { l.FreeBytes = 64 << 10 }), "fill the disk", []layer.Layer{layerOf(t, skippable, reg("z", zeros))}},
		"as large and as it is": {but(func(l *layer.Limits) { l.FreeBytes = 64 << 10 }), "", []layer.Layer{layerOf(t, asIs, reg("z", zeros))}},
		"a bomb that is wanted": {but(func(l *layer.Limits) { l.FreeBytes = 64 << 10 }).Expecting(2 << 20), "", []layer.Layer{layerOf(t, skippable, reg("z", zeros))}},
		"a larger one":          {enough.Expecting(1 << 20), "bytes", []layer.Layer{layerOf(t, skippable, reg("z", zeros))}},
		"a window of 256 MiB":   {enough, "window size exceeded", []layer.Layer{layerOf(t, wideWindow, reg("z", "1"))}},
		"what is not unpacked":  {enough, "invalid tar header", []layer.Layer{layerOf(t, func([]byte) []byte { return []byte("\xFD7zXZ\x00" + strings.Repeat("x", 1<<10)) })}},
	} {
		s := stacks(t)
		_, err := s.Add(t.Context(), c.layers, c.limits, nil)
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if banger.CodeOf(err) != banger.CodeInvalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if entries, err := os.ReadDir(s.Dir); err != nil || len(entries) != len(c.layers)-1 { // those before it are good
			t.Errorf("%s: %v is left: %v", name, entries, err)
		}
	}
}

// wideWindow is a frame of zstd that wants its reader to keep 256 MiB; RFC 8878, 3.1.1.
func wideWindow(b []byte) []byte {
	frame := []byte{0x28, 0xB5, 0x2F, 0xFD, 0, (28 - 10) << 3}
	size := len(b)<<3 | 1 // the last block, raw
	return append(append(frame, byte(size), byte(size>>8), byte(size>>16)), b...)
}
