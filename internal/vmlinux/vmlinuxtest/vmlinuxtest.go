// Package vmlinuxtest makes small files with the form of kernels, for tests.
package vmlinuxtest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// Formats are the names of the compressions that Compress knows.
func Formats() []string { return []string{"gzip", "xz", "zstd", "lz4"} }

// Kernel is an ELF for x86-64 with one segment of notes, in which PVH's is if pvh.
func Kernel(pvh bool) []byte {
	note := func(name string, kind uint32) []byte {
		var b bytes.Buffer
		put(&b, uint32(len(name)), uint32(8), kind)
		b.WriteString(name)
		put(&b, uint64(0x1000000))
		return b.Bytes()
	}
	notes := note("GNU\x00", 18)
	if pvh {
		notes = append(notes, note("Xen\x00", 18)...)
	}
	const header, program = 64, 56
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + string(make([]byte, 9)))
	put(&b, uint16(2), uint16(62), uint32(1), uint64(0), uint64(header), uint64(0), uint32(0), // ET_EXEC, EM_X86_64
		uint16(header), uint16(program), uint16(1), uint16(0), uint16(0), uint16(0))
	put(&b, uint32(4), uint32(0), uint64(header+program), uint64(0), uint64(0), uint64(len(notes)), uint64(len(notes)), uint64(4)) // PT_NOTE
	b.Write(notes)
	return b.Bytes()
}

// BzImage is a file whose payload is that, compressed, as Linux's build puts it together.
func BzImage(format string, payload []byte) ([]byte, error) {
	compressed, err := Compress(format, payload)
	if err != nil {
		return nil, err
	}
	if format != "gzip" { // which ends with the size by itself
		compressed = binary.LittleEndian.AppendUint32(compressed, uint32(len(payload)))
	}
	const sectors, offset = 1, 0x40
	b := make([]byte, (sectors+1)*512+offset)
	b[0x1f1] = sectors
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x020f)
	binary.LittleEndian.PutUint32(b[0x248:], offset)
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(compressed)))
	return append(append(b, compressed...), "what follows"...), nil
}

// Compress compresses data in one of Formats.
func Compress(format string, data []byte) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch format {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	case "lz4":
		l := lz4.NewWriter(&b)
		w, err = l, l.Apply(lz4.LegacyOption(true))
	default:
		err = fmt.Errorf("no format is called %s", format)
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// put appends fixed-size values, little endian.
func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		_ = binary.Write(b, binary.LittleEndian, v) // to memory
	}
}
