package layer

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"banger"
)

// maxWindow bounds what a frame of zstd has kept of what it has yielded: what zstd(1) takes
// without --long, and every registry's images need.
const maxWindow = 128 << 20

// Decompress returns what a blob or a file holds, whatever it is called: gzip, zstd, or as it
// is. The caller closes it. What it fails with may be an error of the reader's, or have no code.
func Decompress(blob io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(blob, 256<<10)
	magic, err := in.Peek(4)
	if err != nil && len(magic) == 0 {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot take layer: it is empty: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1F, 0x8B}): // RFC 1952, 2.3.1
		return gzip.NewReader(in)
	case isZstd(magic):
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return r.IOReadCloser(), nil
	}
	return io.NopCloser(in), nil
}

// Compressed reports whether what begins with these 4 bytes is compressed in a way that
// Decompress knows.
func Compressed(magic []byte) bool {
	return bytes.HasPrefix(magic, []byte{0x1F, 0x8B}) || isZstd(magic)
}

// isZstd reports whether a frame of zstd begins so, or one that is skipped; RFC 8878, 3.1.
func isZstd(magic []byte) bool {
	if len(magic) < 4 {
		return false
	}
	n := uint32(magic[0]) | uint32(magic[1])<<8 | uint32(magic[2])<<16 | uint32(magic[3])<<24
	return n == 0xFD2FB528 || n&^0xF == 0x184D2A50
}
