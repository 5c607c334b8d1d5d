//go:build !unit

package ext4

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func TestPages_AreTheImage(t *testing.T) {
	content := make([]byte, 3*pagesKept*pageBytes+77)
	for i := range content {
		content[i] = byte(i * i >> 8)
	}
	p := &pages{image: bytes.NewReader(content)}
	if err := iotest.TestReader(io.NewSectionReader(p, 0, int64(len(content))), content); err != nil {
		t.Error(err)
	}
	for off := 0; off < len(content); off += 997 {
		b := make([]byte, min(100, len(content)-off))
		if n, err := p.ReadAt(b, int64(off)); n < len(b) || !bytes.Equal(b, content[off:][:len(b)]) {
			t.Fatalf("%d bytes at %d: %v", n, off, err)
		}
	}
}
