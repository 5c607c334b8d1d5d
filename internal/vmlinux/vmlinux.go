// Package vmlinux takes the kernel itself out of a file that unpacks it when it boots, which an
// emulated processor does slowly. QEMU, Firecracker and others boot it by its PVH note.
package vmlinux

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
)

// MaxBytes bounds an uncompressed kernel: those of Debian have 40 to 80 MiB.
const MaxBytes = 512 << 20

// maxDictionary bounds what a compressed kernel has its reader keep. The kernel's own build
// uses up to 32 MiB for XZ and 128 MiB for zstd.
const maxDictionary = 128 << 20

// ErrUnknown says that a file is not a kernel that this package can take apart. It may boot
// as it is.
var ErrUnknown = errors.New("it is not a kernel that can be unpacked")

// setupHeader is what is needed of the header of a bzImage: Linux,
// Documentation/arch/x86/boot.rst.
type setupHeader struct {
	start  int64 // of the payload in the file
	length int64
}

// Places in the file of fields of the setup header.
const (
	setupSectsAt    = 0x1f1
	magicAt         = 0x202 // "HdrS"
	versionAt       = 0x206
	payloadOffsetAt = 0x248
	payloadLengthAt = 0x24c
	headerBytes     = 0x250
	sectorBytes     = 512
	payloadVersion  = 0x0208 // of the protocol, since which there are the payload's fields
)

func readHeader(r io.ReaderAt, size int64) (h setupHeader, err error) {
	b := make([]byte, headerBytes)
	if _, err := r.ReadAt(b, 0); err != nil {
		return h, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if string(b[magicAt:][:4]) != "HdrS" || binary.LittleEndian.Uint16(b[versionAt:]) < payloadVersion {
		return h, fmt.Errorf("%w: it is not a bzImage", ErrUnknown)
	}
	sectors := int64(b[setupSectsAt])
	if sectors == 0 {
		sectors = 4
	}
	h.start = (sectors+1)*sectorBytes + int64(binary.LittleEndian.Uint32(b[payloadOffsetAt:]))
	h.length = int64(binary.LittleEndian.Uint32(b[payloadLengthAt:]))
	if h.length < sizeBytes || h.start+h.length > size {
		return h, fmt.Errorf("%w: its payload does not lie in it", ErrUnknown)
	}
	return h, nil
}

// sizeBytes is the length of what a payload ends with: its size when it is unpacked.
const sizeBytes = 4

// compression is how a payload may be compressed, by how it begins.
type compression struct {
	magic string
	// keepsSize says that the payload's last bytes are the format's own.
	keepsSize bool
	open      func(io.Reader) (io.Reader, error)
}

func compressions() []compression {
	return []compression{
		{"\x1f\x8b", true, func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{"\xfd7zXZ\x00", false, func(r io.Reader) (io.Reader, error) { return xz.NewReader(r, maxDictionary) }},
		{"\x28\xb5\x2f\xfd", false, func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary))
		}},
		{"\x02\x21\x4c\x18", false, func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }}, // a legacy frame
	}
}

// Extract writes the kernel that the bzImage r of that size unpacks to w. It fails with
// ErrUnknown if r is anything else; what was written then is of no use. No more than MaxBytes
// are written, and no more of the memory of this process taken than a compression's window,
// 128 MiB at most.
func Extract(w io.Writer, r io.ReaderAt, size int64) error {
	h, err := readHeader(r, size)
	if err != nil {
		return err
	}
	var end [sizeBytes]byte
	if _, err := r.ReadAt(end[:], h.start+h.length-sizeBytes); err != nil {
		return fmt.Errorf("cannot unpack kernel: %w", err)
	}
	want := int64(binary.LittleEndian.Uint32(end[:]))
	if want > MaxBytes {
		return fmt.Errorf("%w: it would have %d bytes", ErrUnknown, want)
	}
	payload, err := open(r, h)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(payload, want+1))
	if err != nil {
		return fmt.Errorf("cannot unpack kernel: %w", err)
	}
	if n != want {
		return fmt.Errorf("%w: it has another size than the %d bytes that it says", ErrUnknown, want)
	}
	return nil
}

// open returns a reader of the payload uncompressed.
func open(r io.ReaderAt, h setupHeader) (io.Reader, error) {
	begin := make([]byte, 8)
	if _, err := r.ReadAt(begin, h.start); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	for _, c := range compressions() {
		if !bytes.HasPrefix(begin, []byte(c.magic)) {
			continue
		}
		length := h.length
		if !c.keepsSize {
			length -= sizeBytes
		}
		payload, err := c.open(bufio.NewReaderSize(io.NewSectionReader(r, h.start, length), 1<<20))
		if err != nil {
			return nil, fmt.Errorf("cannot unpack kernel: %w", err)
		}
		return payload, nil
	}
	return nil, fmt.Errorf("%w: its payload begins with %x", ErrUnknown, begin)
}

// The note by which a kernel says where PVH enters it: XEN_ELFNOTE_PHYS32_ENTRY of Xen's
// public/elfnote.h.
const (
	noteName  = "Xen\x00"
	noteEntry = 18
)

// maxNotes bounds the notes that are read; a kernel has some hundred bytes.
const maxNotes = 1 << 20

// CheckPVH fails with ErrUnknown if r is not a kernel for x86-64 that PVH can enter.
func CheckPVH(r io.ReaderAt) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("%w: it is for %v", ErrUnknown, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		notes, err := io.ReadAll(io.LimitReader(p.Open(), maxNotes))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		if hasEntry(notes) {
			return nil
		}
	}
	return fmt.Errorf("%w: it has no PVH note", ErrUnknown)
}

// hasEntry looks for the note in a segment of them; elf(5), "Notes".
func hasEntry(notes []byte) bool {
	const fields = 12
	for len(notes) >= fields {
		name := int64(binary.LittleEndian.Uint32(notes))
		desc := int64(binary.LittleEndian.Uint32(notes[4:]))
		kind := binary.LittleEndian.Uint32(notes[8:])
		whole := fields + aligned(name) + aligned(desc)
		if whole > int64(len(notes)) {
			return false
		}
		if kind == noteEntry && string(notes[fields:][:name]) == noteName {
			return true
		}
		notes = notes[whole:]
	}
	return false
}

func aligned(n int64) int64 { return (n + 3) &^ 3 }
