package vmlinux_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"banger/internal/vmlinux"
	"banger/internal/vmlinux/vmlinuxtest"
)

// bzImage is one with a payload of some size that compresses a little.
func bzImage(t testing.TB, format string) (image, payload []byte) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	size := 100 << 10
	if format == "lz4" && !testing.Short() {
		size = 9 << 20 // more than a block
	}
	payload = make([]byte, size)
	for i := range payload {
		payload[i] = byte(random.IntN(4))
	}
	image, err := vmlinuxtest.BzImage(format, payload)
	if err != nil {
		t.Fatal(err)
	}
	return image, payload
}

func extract(image []byte) ([]byte, error) {
	var out bytes.Buffer
	err := vmlinux.Extract(&out, bytes.NewReader(image), int64(len(image)))
	return out.Bytes(), err
}

func TestExtract_WritesWhatWasCompressed(t *testing.T) {
	for _, format := range vmlinuxtest.Formats() {
		image, payload := bzImage(t, format)
		if got, err := extract(image); err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%s: %d bytes, %v; want %d", format, len(got), err, len(payload))
		}
	}
}

func TestExtract_RefusesWhatIsNoKernel(t *testing.T) {
	image, payload := bzImage(t, "zstd")
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(image)
		f(b)
		return b
	}
	end := 2*512 + 0x40 + int(binary.LittleEndian.Uint32(image[0x24c:]))
	for name, b := range map[string][]byte{
		"nothing":               nil,
		"an ELF":                append(vmlinuxtest.Kernel(true), make([]byte, 1024)...),
		"an old protocol":       change(func(b []byte) { b[0x206] = 7 }),
		"a payload beyond it":   change(func(b []byte) { b[0x24f] = 0x7f }),
		"another compression":   change(func(b []byte) { copy(b[2*512+0x40:], "????") }),
		"larger than it may be": change(func(b []byte) { binary.LittleEndian.PutUint32(b[end-4:], vmlinux.MaxBytes+1) }),
		"smaller than it says":  change(func(b []byte) { binary.LittleEndian.PutUint32(b[end-4:], uint32(len(payload)+1)) }),
		"larger than it says":   change(func(b []byte) { binary.LittleEndian.PutUint32(b[end-4:], uint32(len(payload)-1)) }),
	} {
		got, err := extract(b)
		if !errors.Is(err, vmlinux.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		if len(got) > len(payload) {
			t.Errorf("%s: %d bytes were written", name, len(got))
		}
	}
}

func TestExtract_SaysThatWhatIsCompressedIsDamaged(t *testing.T) {
	for _, format := range vmlinuxtest.Formats() {
		image, _ := bzImage(t, format)
		copy(image[len(image)/2:], make([]byte, 64))
		if got, err := extract(image); err == nil {
			t.Errorf("%s: %d bytes were taken out", format, len(got))
		}
	}
}

func TestCheckPVH_WantsTheNote(t *testing.T) {
	if err := vmlinux.CheckPVH(bytes.NewReader(vmlinuxtest.Kernel(true))); err != nil {
		t.Error(err)
	}
	other := vmlinuxtest.Kernel(true)
	other[0x12] = 3 // EM_386
	for name, b := range map[string][]byte{
		"no note": vmlinuxtest.Kernel(false), "no ELF": []byte("vmlinux"), "another processor": other,
		"half a note": vmlinuxtest.Kernel(true)[:64+56+30],
	} {
		if err := vmlinux.CheckPVH(bytes.NewReader(b)); !errors.Is(err, vmlinux.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzExtract(f *testing.F) {
	for _, format := range vmlinuxtest.Formats() {
		image, err := vmlinuxtest.BzImage(format, vmlinuxtest.Kernel(true))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(image)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = vmlinux.Extract(io.Discard, bytes.NewReader(b), int64(len(b)))
		_ = vmlinux.CheckPVH(bytes.NewReader(b))
	})
}
