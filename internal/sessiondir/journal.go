package sessiondir

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
)

// The journal's format; the package comment has it byte for byte.
const (
	blockBytes     = 4096
	headerBytes    = 48
	journalVersion = 1
	journalMagic   = "bngj"
	flagStdinEOF   = 1
)

type recordKind byte

// The kinds of records.
const (
	endOfRecords recordKind = 0
	kindStdout   recordKind = 1
	kindStderr   recordKind = 2
	kindStdin    recordKind = 3
	kindStdinEOF recordKind = 4
	kindDiscard  recordKind = 5
	kindSynced   recordKind = 6
	kindLost     recordKind = 7
	kindShorter  recordKind = 8
	lengthBytes             = 3
	offsetBytes             = 9 // of an offset that is written over in place
	maxRunBytes             = 1<<(7*lengthBytes) - 1
	maxOffset               = 1 << 62
	maxRecord               = 1 + binary.MaxVarintLen64 + 1 + 2*offsetBytes // kindSynced's
)

// blockHeader begins every block.
type blockHeader struct {
	time     int64 // µs since 1970
	stdout   int64
	stderr   int64
	stdin    int64
	stdinEOF bool
}

func (h blockHeader) encode() []byte {
	b := make([]byte, headerBytes)
	copy(b, journalMagic)
	b[4] = journalVersion
	if h.stdinEOF {
		b[5] |= flagStdinEOF
	}
	for i, v := range []int64{h.time, h.stdout, h.stderr, h.stdin} {
		binary.BigEndian.PutUint64(b[8+8*i:], uint64(v))
	}
	binary.BigEndian.PutUint32(b[40:], checksum(b[:40]))
	return b
}

// decodeHeader reports false for what is not the header of a block.
func decodeHeader(b []byte) (blockHeader, bool) {
	if len(b) < headerBytes || !bytes.HasPrefix(b, []byte(journalMagic)) || b[4] != journalVersion ||
		binary.BigEndian.Uint32(b[40:]) != checksum(b[:40]) {
		return blockHeader{}, false
	}
	field := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8+8*i:])) }
	h := blockHeader{time: field(0), stdout: field(1), stderr: field(2), stdin: field(3), stdinEOF: b[5]&flagStdinEOF != 0}
	for _, offset := range []int64{h.stdout, h.stderr, h.stdin} {
		if offset < 0 || offset > maxOffset {
			return blockHeader{}, false
		}
	}
	return h, true
}

// begins returns where the block's output begins.
func (h blockHeader) begins() position { return position{h.stdout, h.stderr} }

// stream returns where one output stands.
func (h *blockHeader) stream(i int) *int64 {
	if i == stderr {
		return &h.stderr
	}
	return &h.stdout
}

func checksum(b []byte) uint32 {
	h := fnv.New32a()
	h.Write(b)
	return h.Sum32()
}

// record is one entry of a block.
type record struct {
	kind    recordKind
	time    int64  // µs since 1970
	length  int64  // of kinds 1 to 3: bytes of the stream
	content []byte // of the others
}

// appendRecord encodes a record. body is its fixedLength or its content.
func appendRecord(b []byte, kind recordKind, delta int64, body []byte) []byte {
	b = append(b, byte(kind))
	b = binary.AppendUvarint(b, uint64(delta))
	if kind > kindStdin {
		b = binary.AppendUvarint(b, uint64(len(body)))
	}
	return append(b, body...)
}

// discardContent is that of a record of kindDiscard.
func discardContent(stream int, why reasons, offset int64) []byte {
	return binary.AppendUvarint([]byte{byte(stream), byte(why)}, uint64(offset))
}

// syncedContent is that of a record of kindSynced.
func syncedContent(p position) []byte {
	return append(fixedUvarint(p[stdout], offsetBytes), fixedUvarint(p[stderr], offsetBytes)...)
}

// lostContent is that of a record of kindLost.
func lostContent(stream int, why reasons, n int64) []byte {
	return append([]byte{byte(stream), byte(why)}, fixedUvarint(n, offsetBytes)...)
}

// synced returns what a record of kindSynced says; false if it makes no sense.
func (r record) synced() (p position, ok bool) {
	rest := r.content
	for s := range p {
		n, size := decodeOffset(rest)
		if size <= 0 {
			return position{}, false
		}
		p[s], rest = n, rest[size:]
	}
	return p, true
}

// discarded returns what a record of kindDiscard says; false if it makes no sense.
func (r record) discarded() (stream int, why reasons, offset int64, ok bool) {
	if len(r.content) < 3 || r.content[0] > stderr {
		return 0, 0, 0, false
	}
	offset, size := decodeOffset(r.content[2:])
	return int(r.content[0]), reasons(r.content[1]), offset, size > 0
}

// shorter returns what a record of kindShorter says; false if it makes no sense.
func (r record) shorter() (index int64, ok bool) {
	index, size := decodeOffset(r.content)
	return index, size > 0
}

// output returns what a record says of output: n bytes of a stream, which came or
// were lost. It is false for a record of anything else, and for one that makes no sense.
func (r record) output() (stream int, n int64, lost bool, why reasons, ok bool) {
	switch r.kind {
	case kindStdout, kindStderr:
		return int(r.kind - kindStdout), r.length, false, 0, true
	case kindLost:
		// It is as a discard: that many bytes from where the stream stands.
		stream, why, n, ok = r.discarded()
		return stream, n, true, why, ok
	}
	return 0, 0, false, 0, false
}

// decodeOffset reads a uvarint; size is 0 if it is none, or beyond maxOffset.
func decodeOffset(b []byte) (n int64, size int) {
	v, size := binary.Uvarint(b)
	if size <= 0 || v > maxOffset {
		return 0, 0
	}
	return int64(v), size
}

// fixedLength is the length in a record of output.
func fixedLength(n int64) []byte { return fixedUvarint(n, lengthBytes) }

// fixedUvarint is a uvarint that always has this number of bytes.
func fixedUvarint(n int64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n>>(7*i)) | 0x80
	}
	b[size-1] &= 0x7f
	return b
}

// decodeRecord reads the record at the start of b; size 0 means that there is none.
func decodeRecord(b []byte, before int64) (r record, size int) {
	if len(b) == 0 || recordKind(b[0]) == endOfRecords {
		return record{}, 0
	}
	delta, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return record{}, 0
	}
	length, m := binary.Uvarint(b[1+n:])
	if m <= 0 || length > maxRunBytes {
		return record{}, 0
	}
	r = record{kind: recordKind(b[0]), time: before + int64(delta), length: int64(length)}
	size = 1 + n + m
	if r.kind > kindStdin {
		size += int(length)
	}
	if size > len(b) {
		return record{}, 0
	}
	if r.kind > kindStdin {
		r.content = b[1+n+m : size]
	}
	return r, size
}
